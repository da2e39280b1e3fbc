package idmap

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// settings are what interfaces inherit and what programs may do. Loopback keeps ::1; eth0 gets no IPv6 address as long
// as the network has none. Ports below 1024 and ping sockets need no capability in a namespace that has no neighbours to
// fool.
var settings = []struct {
	name, value string
	optional    bool // a kernel without IPv6 does not have it
}{
	{"ipv6/conf/default/disable_ipv6", "1", true},
	{"ipv4/ip_unprivileged_port_start", "0", false},
	{"ipv4/ping_group_range", "0 65535", false},
}

// furnish sets up the network namespace of a container, before anything is born in it and with or without a network, and
// sends a socket of it. It is given a proc.
func furnish(p *clone.Program) names {
	what := names{}
	proc, _ := p.NewSlot() // of a new program: there are two
	fd, _ := p.NewSlot()
	p.Input(proc)
	for _, s := range settings {
		open := clone.Step{Nr: unix.SYS_OPENAT, Out: fd, From: [6]clone.Slot{proc},
			Args: [6]uintptr{0, p.String("sys/net/" + s.name), unix.O_WRONLY | unix.O_CLOEXEC}}
		if s.optional {
			open.On[0] = clone.Tolerance{Errno: unix.ENOENT, Skip: 1}
		}
		what[p.Add(open)] = "open the setting net/" + s.name
		what[p.Add(clone.Step{Nr: unix.SYS_WRITE, From: [6]clone.Slot{fd},
			Args: [6]uintptr{0, p.String(s.value), uintptr(len(s.value))}})] = "set net/" + s.name + " to " + s.value
	}
	lo := make([]byte, 40) // struct ifreq: a name and flags
	copy(lo, "lo")
	binary.NativeEndian.PutUint16(lo[unix.IFNAMSIZ:], unix.IFF_UP)
	p.Add(clone.Step{Nr: unix.SYS_SOCKET, Out: fd, Args: [6]uintptr{unix.AF_UNIX, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}})
	what[p.Add(clone.Step{Nr: unix.SYS_IOCTL, From: [6]clone.Slot{fd},
		Args: [6]uintptr{0, unix.SIOCSIFFLAGS, p.Bytes(lo)}})] = "bring up loopback"
	p.SendFD(clone.Step{Nr: unix.SYS_SOCKET,
		Args: [6]uintptr{unix.AF_NETLINK, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE}})
	return what
}
