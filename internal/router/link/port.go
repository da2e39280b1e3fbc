package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/router/firewall"
	"github.com/brig-engine/brig/internal/wire"
)

// ErrInUse says that another program, or another container, has the port.
var ErrInUse = errors.New("in use by another program or container")

// Socket is a socket that is bound and never read here: it reserves a published port, and brigd accepts on it for
// clients that no translation can reach (loopback, IPv6). The descriptor belongs to the receiver.
type Socket struct {
	Proto  string // tcp, udp
	HostIP netip.Addr
	Port   uint16
	FD     int
}

// ReservePort binds a published port on the host. hostIP "" is every address of both families, which gives two sockets
// (one where the host has no IPv6). port 0 takes a free one, the same for both.
func (r *Router) ReservePort(proto, hostIP string, port uint16) ([]Socket, error) {
	if firewall.ProtoNumber(proto) == 0 {
		return nil, fmt.Errorf("protocol %q: need tcp or udp", proto)
	}
	addrs := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	if hostIP != "" {
		a, err := netip.ParseAddr(hostIP)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("host address %q: need an IP address", hostIP)
		}
		addrs = []netip.Addr{a.Unmap()}
	}
	const tries = 16 // with port 0, a port that is free in one family can be taken in the other
	for try := 1; ; try++ {
		socks, err := r.reserve(proto, addrs, port)
		if err == nil || port != 0 || try == tries || !errors.Is(err, ErrInUse) {
			return socks, err
		}
	}
}

func (r *Router) reserve(proto string, addrs []netip.Addr, port uint16) (socks []Socket, err error) {
	defer func() {
		if err != nil {
			for _, s := range socks {
				unix.Close(s.FD)
			}
			socks = nil
		}
	}()
	for _, a := range addrs {
		fd, bound, err := listen(r.cfg.HostNetns, proto, netip.AddrPortFrom(a, port))
		switch {
		case err != nil && a.Is6() && a.IsUnspecified() && len(socks) > 0 &&
			(errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)):
			continue // a host without IPv6
		case errors.Is(err, unix.EADDRINUSE):
			return socks, fmt.Errorf("port %d/%s on %s is %w", port, proto, a, ErrInUse)
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return socks, fmt.Errorf("port %d/%s: the host has no address %s: %w", port, proto, a, err)
		case err != nil:
			return socks, fmt.Errorf("bind port %d/%s on %s: %w", port, proto, a, err)
		}
		socks = append(socks, Socket{Proto: proto, HostIP: a, Port: bound, FD: fd})
		port = bound
	}
	return socks, nil
}

// openDNS opens the sockets of the forwarder, UDP and TCP, port 53 of the gateway, in the namespace that the thread is
// in.
func openDNS(gateway netip.Addr) (fds []int, err error) {
	at := netip.AddrPortFrom(gateway, 53)
	for _, proto := range []string{"udp", "tcp"} {
		fd, _, err := listen(0, proto, at)
		if err != nil {
			wire.CloseAll(fds)
			return nil, fmt.Errorf("open DNS socket %s: %w", at, err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// TakeDNS hands over the forwarder's sockets, UDP and TCP, of a namespace that was made anew; there are none of one that
// was adopted, because somebody has them still.
func (r *Router) TakeDNS() []int {
	fds := r.dns
	r.dns = nil
	return fds
}

// listen opens one bound socket in the namespace ns and returns the port that it got. UDP has no SO_REUSEADDR, which
// would let two sockets share the port.
func listen(ns int, proto string, at netip.AddrPort) (fd int, port uint16, err error) {
	err = inside(ns, func() error {
		s, err := bind(proto, at)
		if err != nil {
			return err
		}
		defer s.Close()
		raw, err := s.SyscallConn()
		if err != nil {
			return err
		}
		refused := raw.Control(func(own uintptr) {
			if port, err = portOf(int(own)); err == nil {
				fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 3)
			}
		})
		return errors.Join(refused, err)
	})
	return fd, port, err
}

// socket is what TCP listeners and UDP sockets have in common.
type socket interface {
	Close() error
	SyscallConn() (syscall.RawConn, error)
}

// bind makes a socket of one family; that of IPv6 leaves IPv4 alone.
func bind(proto string, at netip.AddrPort) (socket, error) {
	family := "4"
	if at.Addr().Is6() {
		family = "6"
	}
	if proto == "udp" {
		return net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(at))
	}
	return net.ListenTCP("tcp"+family, net.TCPAddrFromAddrPort(at))
}

func portOf(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port), nil
	case *unix.SockaddrInet6:
		return uint16(sa.Port), nil
	}
	return 0, err
}
