package link

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	changes := make(chan struct{}, 1)
	go func() {
		defer close(changes)
		if err := listenTo(s, changes); ctx.Err() == nil {
			trouble(fmt.Errorf("watch the host's network: %w", err))
		}
	}()
	defer s.Close()
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-changes:
			if ok {
				timer.Reset(settle) // changes come in bursts
			} else {
				changes = nil // the error was told; the clock goes on
			}
		case <-timer.C:
			if err := r.Refresh(); err != nil {
				trouble(err)
			}
			timer.Reset(every)
		}
	}
}

// listenTo says that something has changed for each message, whatever it holds, until the socket is closed.
func listenTo(s *nl.NetlinkSocket, changes chan<- struct{}) error {
	for {
		// ENOBUFS: messages were lost, so something has changed.
		if _, _, err := s.Receive(); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		select {
		case changes <- struct{}{}:
		default:
		}
	}
}
