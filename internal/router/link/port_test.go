package link

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReservedPortIsTakenAndSaid(t *testing.T) {
	w := newNetwork(t)
	for _, proto := range []string{"tcp", "udp"} {
		socks, err := w.r.ReservePort(proto, "", 8080)
		must(t, err)
		if len(socks) != 2 || socks[0].HostIP != netip.IPv4Unspecified() || socks[1].HostIP != netip.IPv6Unspecified() {
			t.Fatalf("%s: got %v, want one socket per family", proto, socks)
		}
		for _, ip := range []string{"", "127.0.0.1", "::1", hostIP} {
			_, err = w.r.ReservePort(proto, ip, 8080)
			if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "port 8080/"+proto) {
				t.Errorf("%s on %q: the port was given twice: %v", proto, ip, err)
			}
		}
		for _, s := range socks {
			unix.Close(s.FD)
		}
		again, err := w.r.ReservePort(proto, "127.0.0.1", 8080)
		must(t, err)
		unix.Close(again[0].FD)
	}
}

func TestPortZeroTakesOneFreePortForBothFamilies(t *testing.T) {
	w := newNetwork(t)
	socks, err := w.r.ReservePort("tcp", "", 0)
	must(t, err)
	if len(socks) != 2 || socks[0].Port == 0 || socks[0].Port != socks[1].Port {
		t.Errorf("got %v", socks)
	}
	for _, s := range socks {
		unix.Close(s.FD)
	}
}

func TestReservePortRefusesNonsense(t *testing.T) {
	w := newNetwork(t)
	for _, c := range [][2]string{{"sctp", ""}, {"tcp", "localhost"}, {"tcp", "fe80::1%eth0"}, {"tcp", "10.99.0.200"}} {
		if socks, err := w.r.ReservePort(c[0], c[1], 80); err == nil {
			t.Errorf("%v was bound: %v", c, socks)
		}
	}
}

func TestReservedSocketAcceptsLoopbackClients(t *testing.T) {
	w := newNetwork(t)
	socks, err := w.r.ReservePort("tcp", "", 8080)
	must(t, err)
	for _, s := range socks {
		f := os.NewFile(uintptr(s.FD), "port")
		l, err := net.FileListener(f)
		must(t, err)
		f.Close()
		defer l.Close()
		go tellSenders(l)
	}
	w.reaches("127.0.0.1", w.host, "tcp", "127.0.0.1:8080", "127.0.0.1")
	w.reaches("::1", w.host, "tcp", "[::1]:8080", "::1")
}

func TestContainersReachTheForwarderOnly(t *testing.T) {
	w := newNetwork(t)
	fds := w.r.TakeDNS()
	udp, tcp := os.NewFile(uintptr(fds[0]), "udp"), os.NewFile(uintptr(fds[1]), "tcp")
	pc, err := net.FilePacketConn(udp)
	must(t, err)
	udp.Close()
	defer pc.Close()
	l, err := net.FileListener(tcp)
	must(t, err)
	tcp.Close()
	defer l.Close()
	go tellDatagramSenders(pc)
	go tellSenders(l)
	c := w.container()
	gw := w.r.Gateway().String()
	w.reaches("DNS", c.ns, "udp", gw+":53", c.ep.Addr.String())
	w.reaches("DNS", c.ns, "tcp", gw+":53", c.ep.Addr.String())
	w.refused("DNS from the host", w.host, "udp", gw+":53")
	w.refusedAtOnce("other port", c.ns, "tcp", gw+":54")
}
