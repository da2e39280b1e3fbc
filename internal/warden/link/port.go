package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/firewall"
)

// ErrInUse says that another program, or another container, has the port.
var ErrInUse = errors.New("port is in use")

// Socket is a socket that the warden bound and never reads: it reserves a published port, and brigd accepts on it for
// clients that no translation can reach (loopback, IPv6). The descriptor belongs to the receiver.
type Socket struct {
	Proto  string // tcp, udp
	HostIP netip.Addr
	Port   uint16
	FD     int
}

// Entry gives what Activate needs to lead the port to a container's.
func (s Socket) Entry(containerPort uint16) Port {
	return Port{Proto: firewall.ProtoNumber(s.Proto), HostIP: s.HostIP, HostPort: s.Port, ContainerPort: containerPort}
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
			return socks, fmt.Errorf("port %d/%s on %s is in use by another program or container: %w", port, proto, a,
				errInUse{err})
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

// errInUse is ErrInUse that keeps the errno without saying it twice.
type errInUse struct{ cause error }

func (e errInUse) Error() string        { return "address already in use" }
func (e errInUse) Is(target error) bool { return target == ErrInUse }
func (e errInUse) Unwrap() error        { return e.cause }

// ListenDNS opens the sockets of the forwarder: UDP and TCP, port 53 of the gateway, inside the router namespace. The
// files belong to the caller.
func (r *Router) ListenDNS() (udp, tcp *os.File, err error) {
	at := netip.AddrPortFrom(r.plan.Gateway, 53)
	u, _, err := listen(r.ns, "udp", at)
	if err != nil {
		return nil, nil, fmt.Errorf("open DNS socket %s: %w", at, err)
	}
	t, _, err := listen(r.ns, "tcp", at)
	if err != nil {
		unix.Close(u)
		return nil, nil, fmt.Errorf("open DNS socket %s: %w", at, err)
	}
	return os.NewFile(uintptr(u), "dns/udp"), os.NewFile(uintptr(t), "dns/tcp"), nil
}

// listen opens one bound socket in the namespace ns and returns the port that it got. UDP without SO_REUSEADDR, which
// would let two sockets share the port.
func listen(ns int, proto string, at netip.AddrPort) (fd int, port uint16, err error) {
	fd = -1
	err = inside(ns, func() error {
		family, kind := unix.AF_INET, unix.SOCK_STREAM
		if at.Addr().Is6() {
			family = unix.AF_INET6
		}
		if proto == "udp" {
			kind = unix.SOCK_DGRAM
		}
		s, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if err := bind(s, family, kind, at); err != nil {
			unix.Close(s)
			return err
		}
		sa, err := unix.Getsockname(s)
		if err != nil {
			unix.Close(s)
			return err
		}
		fd, port = s, portOf(sa)
		return nil
	})
	return fd, port, err
}

func bind(s, family, kind int, at netip.AddrPort) error {
	var sa unix.Sockaddr
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(s, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
		sa = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	} else {
		sa = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	if err := unix.Bind(s, sa); err != nil {
		return err
	}
	if kind == unix.SOCK_STREAM {
		return unix.Listen(s, 4096)
	}
	return nil
}

func portOf(sa unix.Sockaddr) uint16 {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port)
	case *unix.SockaddrInet6:
		return uint16(sa.Port)
	}
	return 0
}
