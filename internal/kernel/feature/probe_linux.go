package feature

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemCalls calls each with arguments that cannot succeed: only ENOSYS, or EPERM from a container's filter, means no.
func systemCalls() error {
	for _, c := range []struct {
		name   string
		number uintptr
	}{
		{"openat2", unix.SYS_OPENAT2}, {"clone3", unix.SYS_CLONE3}, {"mount_setattr", unix.SYS_MOUNT_SETATTR},
		{"pidfd_open", unix.SYS_PIDFD_OPEN}, {"close_range", unix.SYS_CLOSE_RANGE},
	} {
		// Everywhere zero is an invalid size, pid or flag, except for close_range: first > last is.
		a, b := uintptr(0), uintptr(0)
		if c.number == unix.SYS_CLOSE_RANGE {
			a = 1
		}
		_, _, e := unix.Syscall6(c.number, a, b, 0, 0, 0, 0)
		if e == unix.ENOSYS || e == unix.EPERM && c.number != unix.SYS_MOUNT_SETATTR {
			return fmt.Errorf("%s: %w", c.name, e)
		}
	}
	return nil
}

// seccomp asks for the action that a filter's refusals use.
func seccomp() error {
	action := uint32(unix.SECCOMP_RET_ERRNO)
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	if e != 0 {
		return e
	}
	return nil
}

// landlock asks for the ABI version.
func landlock() error {
	v, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case e == unix.EOPNOTSUPP:
		return errors.New("built in, not switched on at boot")
	case e != 0:
		return e
	case v < 1:
		return fmt.Errorf("ABI %d", v)
	}
	return nil
}

// fileSystem looks at the list, then has the kernel load the module (root only).
func fileSystem(name string) func() error {
	return func() error {
		b, err := os.ReadFile("/proc/filesystems")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == name {
				return nil
			}
		}
		fd, err := unix.Fsopen(name, unix.FSOPEN_CLOEXEC)
		switch {
		case err == nil:
			unix.Close(fd)
			return nil
		case err == unix.EPERM:
			return fmt.Errorf("not loaded: %w", ErrUnknown)
		}
		return errors.New("the kernel has no such file system")
	}
}

// overlayByFD gives a directory as a layer by descriptor; an older overlayfs does not know the parameter's type.
func overlayByFD() error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err == unix.EPERM {
		return fmt.Errorf("%w", ErrUnknown)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	dir, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.FsconfigSetFd(fs, "lowerdir+", dir); err != nil {
		return errors.New("older than 6.13")
	}
	return nil
}

// nftables asks for the rule set's generation: subsystem 10, message 16.
func nftables() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return err
	}
	// nlmsghdr (length, type, flags, sequence, port) and nfgenmsg (family, version, resource).
	m := binary.NativeEndian.AppendUint32(nil, 20)
	m = binary.NativeEndian.AppendUint16(m, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST)
	m = append(m, make([]byte, 12)...)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	reply := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil || n < 20 {
		return fmt.Errorf("no answer: %w", err)
	}
	if binary.NativeEndian.Uint16(reply[4:]) != unix.NLMSG_ERROR {
		return nil
	}
	e := unix.Errno(-int32(binary.NativeEndian.Uint32(reply[16:])))
	if e == unix.EPERM {
		return fmt.Errorf("%w", ErrUnknown)
	}
	return fmt.Errorf("the kernel has no nf_tables: %w", e)
}

// packetProgram loads the shortest program of the kind that checks senders: r0 = 0; exit.
func packetProgram() error {
	code := []byte{0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0}
	license := []byte("GPL\x00")
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&code[0])
	pin.Pin(&license[0])
	attr := struct {
		kind, count    uint32
		insns, license uint64
		rest           [64]byte
	}{unix.BPF_PROG_TYPE_SCHED_CLS, 2, pointer(code), pointer(license), [64]byte{}}
	fd, _, e := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	switch e {
	case 0:
		return unix.Close(int(fd))
	case unix.EPERM:
		return fmt.Errorf("%w", ErrUnknown)
	}
	return e
}

func pointer(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }
