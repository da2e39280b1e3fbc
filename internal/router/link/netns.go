package link

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/router/firewall"
	"github.com/brig-engine/brig/internal/router/rtnl"
)

// inside runs fn on a thread that is in the network namespace ns; 0 is the process's own. A thread that cannot come
// back stays locked and ends with its goroutine, so no other goroutine ever runs in a foreign namespace.
func inside(ns int, fn func() error) error {
	if ns == 0 {
		return fn()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open own network namespace: %w", err)
			return
		}
		defer unix.Close(home)
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err = fn()
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// enter makes the router namespace, or joins the one that existing names, and opens there, once and for all, what the
// router will need of it: afterwards nothing enters a namespace any more, and the process can give up the right to
// (package router). The thread that did it ends.
func (r *Router) enter(existing int) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		done <- r.openInside(existing)
	}()
	return <-done
}

func (r *Router) openInside(existing int) (err error) {
	if existing >= 0 {
		err = unix.Setns(existing, unix.CLONE_NEWNET)
	} else {
		err = unix.Unshare(unix.CLONE_NEWNET)
	}
	if err != nil {
		return fmt.Errorf("enter the router namespace: %w", err)
	}
	if r.ns, err = currentNetns(); err != nil {
		return err
	}
	if r.router, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	if r.batches, err = rtnl.Open(); err != nil {
		return err
	}
	if err := routerSysctls(); err != nil {
		return err
	}
	r.plan.Flows = flowLimit()
	if r.inner, err = firewall.OpenInside(r.plan); err != nil {
		return err
	}
	if err := r.raiseGateway(); err != nil {
		return err
	}
	if existing < 0 {
		if r.dns, err = openDNS(r.plan.Gateway); err != nil {
			return err
		}
	}
	return r.numberFrom()
}

// raiseGateway gives the router its address in the containers' eyes.
func (r *Router) raiseGateway() error {
	lo, err := r.router.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback of the router: %w", err)
	}
	if err := r.router.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring up the router's loopback: %w", err)
	}
	if err := r.router.AddrReplace(lo, &netlink.Addr{IPNet: ipNet(r.plan.Gateway, 32)}); err != nil {
		return fmt.Errorf("give the router the address %s: %w", r.plan.Gateway, err)
	}
	return nil
}

// currentNetns opens the namespace that the thread is in, by way of a socket: the process may not be able to look into
// /proc.
func currentNetns() (int, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open own network namespace: %w", err)
	}
	defer unix.Close(s)
	fd, err := unix.IoctlRetInt(s, unix.SIOCGSKNS)
	if err != nil {
		return -1, fmt.Errorf("open own network namespace: %w", err)
	}
	return fd, nil
}

// dial opens a netlink handle whose sockets belong to the namespace ns, whatever thread uses them later.
func dial(ns int, families ...int) (h *netlink.Handle, err error) {
	err = inside(ns, func() error {
		h, err = netlink.NewHandle(families...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return h, nil
}

// sysctl is one file below /proc/sys/net of the namespace that the thread is in.
type sysctl struct{ name, value string }

// setSysctls writes in order. optional: names that do not exist are passed over (a kernel without IPv6).
func setSysctls(optional bool, list ...sysctl) error {
	for _, s := range list {
		err := os.WriteFile(filepath.Join("/proc/sys/net", s.name), []byte(s.value), 0)
		if err != nil && !(optional && os.IsNotExist(err)) {
			return fmt.Errorf("set net/%s to %s: %w", s.name, s.value, err)
		}
	}
	return nil
}

// waitUp waits until the kernel has noticed that the pair's other end is up: before, it drops what is sent, and the
// first connection of a container would be late by a second. From 6.8 asking is enough; older kernels take their time.
func waitUp(s *rtnl.Socket, index int) error {
	const patience, pause = 2 * time.Second, 200 * time.Microsecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		state, err := s.OperState(index)
		if err != nil {
			return fmt.Errorf("wait for an interface: %w", err)
		}
		if state == netlink.OperUp {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("interface %d does not come up: it is %s", index, netlink.LinkOperState(state))
		}
	}
}
