package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Watch calls Refresh when an address of the host or a forwarding switch has changed, and now and then in any case,
// since a flush of nftables is not told. It returns when ctx ends; trouble hears of everything that failed.
func (r *Router) Watch(ctx context.Context, trouble func(error)) error {
	const settle, every = 100 * time.Millisecond, 30 * time.Second
	var s *nl.NetlinkSocket
	err := inside(r.cfg.HostNetns, func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_NETCONF)
		return err
	})
	if err != nil {
		return fmt.Errorf("watch the host's network: %w", err)
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	wait := every
	for ctx.Err() == nil {
		patience := unix.NsecToTimeval(int64(wait))
		if err := s.SetReceiveTimeout(&patience); err != nil {
			return fmt.Errorf("watch the host's network: %w", err)
		}
		_, _, err := s.Receive()
		if err == nil || errors.Is(err, unix.ENOBUFS) { // messages were lost: something has changed
			wait = settle // changes come in bursts
			continue
		}
		if !errors.Is(err, unix.EAGAIN) && ctx.Err() == nil { // EAGAIN: the time is over
			trouble(fmt.Errorf("watch the host's network: %w", err))
			pause(ctx, every) // the clock goes on
		}
		if ctx.Err() == nil {
			if err := r.Refresh(); err != nil {
				trouble(err)
			}
		}
		wait = every
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
