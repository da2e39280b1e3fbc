package link

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Watch calls Refresh when an address of the host has changed, and now and then in any case, since a flush of nftables is
// not told. It returns when ctx ends; trouble hears of every Refresh that failed.
func (r *Router) Watch(ctx context.Context, trouble func(error)) error {
	const settle, every = 300 * time.Millisecond, 30 * time.Second
	changes := make(chan netlink.AddrUpdate, 16)
	done := make(chan struct{})
	defer close(done)
	options := netlink.AddrSubscribeOptions{ErrorCallback: func(err error) {
		if ctx.Err() == nil {
			trouble(fmt.Errorf("watch the host's addresses: %w", err))
		}
	}}
	if r.cfg.HostNetns != 0 {
		ns, err := unix.FcntlInt(uintptr(r.cfg.HostNetns), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("watch the host's addresses: %w", err)
		}
		defer unix.Close(ns)
		h := netns.NsHandle(ns)
		options.Namespace = &h
	}
	if err := netlink.AddrSubscribeWithOptions(changes, done, options); err != nil {
		return fmt.Errorf("watch the host's addresses: %w", err)
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-changes:
			if ok {
				timer.Reset(settle) // addresses change in bursts
				continue
			}
			changes = nil // the error was told; the clock goes on
		case <-timer.C:
			if err := r.Refresh(); err != nil {
				trouble(err)
			}
			timer.Reset(every)
		}
	}
}
