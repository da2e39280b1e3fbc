package link

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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

// newNetns makes a network namespace, owned by the process's user namespace, and returns a descriptor of it.
func newNetns() (int, error) {
	fd := -1
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return -1, fmt.Errorf("make router namespace: %w", err)
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
func waitUp(h *netlink.Handle, index int) error {
	const patience, pause = 2 * time.Second, 200 * time.Microsecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		l, err := h.LinkByIndex(index)
		if err != nil {
			return fmt.Errorf("wait for interface %d: %w", index, err)
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("interface %s does not come up: it is %s", l.Attrs().Name, l.Attrs().OperState)
		}
	}
}
