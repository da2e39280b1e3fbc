// Package netns enters a container's network namespace, once, before anything is born in it: its settings, its loopback,
// and a socket through which brig-router, which enters no namespace, furnishes the rest.
//
// Zone: brig-warden (root). Input: descriptors of namespaces that the warden made. Output: kernel state; a NETLINK_ROUTE
// socket, on which the kernel acts for who has CAP_NET_ADMIN both where it was opened and where it is used.
// Spec: network_namespaces(7), netlink(7), Documentation/networking/ip-sysctl.
// Answers: A6 (router advertisements: CVE-2020-13401).
package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// settings are what interfaces inherit and what programs may do. Loopback keeps ::1; eth0 gets no IPv6 address as long
// as the network has none. Ports below 1024 and ping sockets need no capability in a namespace that has no neighbours to
// fool. The range of groups is that of the kernel's own ids, since we write as the first user namespace.
var settings = []struct {
	name, value string
	optional    bool // a kernel without IPv6 does not have it
}{
	{"ipv6/conf/default/disable_ipv6", "1", true},
	{"ipv4/ip_unprivileged_port_start", "0", false},
	{"ipv4/ping_group_range", "0 2147483647", false},
}

// Prepare sets up a new namespace as every container's is, with or without a network.
func Prepare(ns int) error { return inside(ns, prepare) }

// PrepareWithSocket is Prepare, and opens a NETLINK_ROUTE socket that belongs to the namespace.
func PrepareWithSocket(ns int) (fd int, err error) {
	fd = -1
	err = inside(ns, func() error {
		if err := prepare(); err != nil {
			return err
		}
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		return err
	})
	return fd, err
}

func prepare() error {
	for _, s := range settings {
		err := os.WriteFile("/proc/sys/net/"+s.name, []byte(s.value), 0)
		if err != nil && !(s.optional && os.IsNotExist(err)) {
			return fmt.Errorf("set net/%s to %s: %w", s.name, s.value, err)
		}
	}
	return raiseLoopback()
}

func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err == nil {
		lo.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK)
		err = unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
	}
	if err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	return nil
}

// inside runs f on a thread that is in the namespace. One that cannot come back stays locked and ends with its goroutine,
// so no other goroutine ever runs in a foreign namespace.
func inside(ns int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer unix.Close(home)
		err = unix.Setns(ns, unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("prepare a network namespace: %w", err)
	}
	return nil
}
