// Package cred changes this process's own credentials and asks the kernel about those of a peer.
package cred

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Drop removes all capabilities but those of the bit mask keep from every set of every thread of this process, and from
// its bounding set.
func Drop(keep uint64) error {
	last, err := LastCapability()
	if err != nil {
		return err
	}
	for c := 0; c <= last; c++ {
		if keep&(1<<c) == 0 {
			if err := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); err != nil {
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
	}
	return Keep(keep)
}

// Keep is Drop without the bounding set, which takes CAP_SETPCAP to change.
func Keep(keep uint64) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for i := range data {
		data[i].Permitted &= uint32(keep >> (32 * i))
		data[i].Effective = data[i].Permitted
		data[i].Inheritable = 0
	}
	err := allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0)
	return os.NewSyscallError("drop capabilities", err)
}

// allThreads runs a system call on every thread: credentials belong to threads in the kernel.
func allThreads(nr, a, b, c uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(nr, a, b, c)
	if errno == syscall.ENOTSUP {
		return fmt.Errorf("this program was built with cgo; build it with CGO_ENABLED=0 (make does): %w", errno)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// LastCapability is the highest capability number that this kernel knows.
func LastCapability() (last int, err error) {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(b), &last)
	return last, err
}

// Peer is who made the other end of a unix connection, when it was made.
type Peer struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups; none if the kernel does not tell
}

// PeerOf reads SO_PEERCRED and SO_PEERGROUPS (unix(7)).
func PeerOf(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	p := Peer{UID: c.Uid, GID: c.Gid}
	b := make([]byte, 4<<10)
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno == 0 {
		for g := b[:n]; len(g) >= 4; g = g[4:] {
			p.Groups = append(p.Groups, binary.NativeEndian.Uint32(g))
		}
	}
	return p, nil
}
