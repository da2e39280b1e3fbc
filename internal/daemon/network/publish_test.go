package network

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tcpSocket gives a listening socket as the warden would hand it over, and its address.
func tcpSocket(t *testing.T, at string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	needFamily(t, at, err)
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	must(t, err)
	return f, l.Addr().String()
}

func needFamily(t *testing.T, at string, err error) {
	t.Helper()
	if strings.HasPrefix(at, "[") && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)) {
		t.Skip("missing: IPv6 on loopback")
	}
	must(t, err)
}

func udpSocket(t *testing.T, at string) (*os.File, string) {
	t.Helper()
	c, err := net.ListenPacket("udp", at)
	needFamily(t, at, err)
	defer c.Close()
	f, err := c.(*net.UDPConn).File()
	must(t, err)
	return f, c.LocalAddr().String()
}

// upper is a server that answers with the capitals of all it got, after its client has ended sending.
func upper(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if b, err := io.ReadAll(c); err == nil {
					c.Write(bytes.ToUpper(b))
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestSpliceServesBothFamiliesAndKeepsHalfClose(t *testing.T) {
	target := upper(t)
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		f, addr := tcpSocket(t, at)
		s, err := NewSplice(f, "tcp", target)
		must(t, err)
		big := make([]byte, 3<<20)
		rand.Read(big)
		big = bytes.ToLower(big)
		c, err := net.Dial("tcp", addr)
		must(t, err)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Write(big)
		must(t, err)
		must(t, c.(*net.TCPConn).CloseWrite())
		got, err := io.ReadAll(c)
		must(t, err)
		if !bytes.Equal(got, bytes.ToUpper(big)) {
			t.Errorf("%s: %d bytes came back, want %d", at, len(got), len(big))
		}
		c.Close()
		must(t, s.Close())
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			t.Errorf("%s: still open after Close", addr)
		}
	}
}

// The client must not see its connect fail, however fast the answer is.
func TestSpliceEndsWhenNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	target := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	f, addr := tcpSocket(t, "127.0.0.1:0")
	s, err := NewSplice(f, "tcp", target)
	must(t, err)
	defer s.Close()
	for range 500 {
		c, err := net.Dial("tcp", addr)
		must(t, err)
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err = c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("want an end, got %v", err)
		}
		c.Close()
	}
}

func TestCloseEndsOpenConnections(t *testing.T) {
	f, addr := tcpSocket(t, "127.0.0.1:0")
	s, err := NewSplice(f, "tcp", upper(t))
	must(t, err)
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	_, err = c.Write([]byte("x"))
	must(t, err)
	time.Sleep(20 * time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("Close waits for a client")
	}
}

func TestRelayKeepsClientsApart(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer server.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(bytes.ToUpper(buf[:n]), from)
		}
	}()
	target := server.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, tc := range []struct{ at, to string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"},
		{"0.0.0.0:0", "127.0.0.7"}} {
		f, addr := udpSocket(t, tc.at)
		s, err := NewSplice(f, "udp", target)
		must(t, err)
		_, port, err := net.SplitHostPort(addr)
		must(t, err)
		// A connected client hears nothing that comes from another address than it wrote to.
		a, err := net.Dial("udp", net.JoinHostPort(tc.to, port))
		must(t, err)
		b, err := net.Dial("udp", net.JoinHostPort(tc.to, port))
		must(t, err)
		for i, c := range []net.Conn{a, b, a} {
			word := string(rune('a' + i))
			_, err := c.Write([]byte(word))
			must(t, err)
			c.SetReadDeadline(time.Now().Add(2 * time.Second))
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if err != nil || string(buf[:n]) != strings.ToUpper(word) {
				t.Errorf("%s: wrote %s, got %q, %v", tc.to, word, buf[:n], err)
			}
		}
		a.Close()
		b.Close()
		must(t, s.Close())
	}
}

func TestRelayBoundsItsClients(t *testing.T) {
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	defer u.Close()
	r := &relayer{u: u, target: u.LocalAddr().(*net.UDPAddr).AddrPort(), sessions: map[sessionKey]*session{}}
	defer r.end()
	for port := range uint16(maxSessions) {
		if r.session(sessionKey{client: netip.AddrPortFrom(addr, port+1)}, nil) == nil {
			t.Fatalf("client %d was refused", port)
		}
	}
	if r.session(sessionKey{client: netip.AddrPortFrom(addr, maxSessions+1)}, nil) != nil {
		t.Error("one client more than the bound")
	}
	if r.session(sessionKey{client: netip.AddrPortFrom(addr, 1)}, nil) == nil {
		t.Error("a known client was refused")
	}
}

func TestUpstreamGivesOnlyItsServers(t *testing.T) {
	u := upstream{ctx: t.Context(), servers: []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("127.0.0.2:53")}}
	files, err := u.datagram()
	must(t, err)
	ports := map[string]bool{}
	for i, f := range files {
		c, err := net.FileConn(f)
		must(t, err)
		if want := u.servers[i/socketsPerServer].String(); c.RemoteAddr().String() != want {
			t.Errorf("socket %d leads to %s, want %s", i, c.RemoteAddr(), want)
		}
		ports[c.LocalAddr().String()] = true
		c.Close()
		f.Close()
	}
	if len(files) != 2*socketsPerServer || len(ports) != len(files) {
		t.Errorf("%d sockets, %d ports", len(files), len(ports))
	}
	for _, name := range []string{"stream/2", "stream/-1", "stream/", "stream/x", "blob/0", ""} {
		if fd, err := u.stream(jobs.File{Name: name}); err == nil {
			t.Errorf("%q was opened: %d", name, fd)
		}
	}
}

func TestUnreachableServersAreLeftOut(t *testing.T) {
	nowhere := netip.MustParseAddrPort("[fe80::1%nosuch0]:53")
	u := upstream{ctx: t.Context(), servers: []netip.AddrPort{nowhere, netip.MustParseAddrPort("127.0.0.1:53")}}
	files, err := u.datagram()
	must(t, err)
	for _, f := range files {
		f.Close()
	}
	if len(u.servers) != 1 || len(files) != socketsPerServer {
		t.Errorf("servers %v, %d sockets", u.servers, len(files))
	}
	u.servers = []netip.AddrPort{nowhere}
	if _, err := u.datagram(); err == nil {
		t.Error("a forwarder without any server")
	}
}

func TestUpstreamKeepsOneStreamAtATime(t *testing.T) {
	u := upstream{ctx: t.Context(), servers: []netip.AddrPort{upper(t)}}
	first, err := u.stream(jobs.File{Name: "stream/0"})
	must(t, err)
	kept := u.last
	second, err := u.stream(jobs.File{Name: "stream/0"})
	must(t, err)
	if err := kept.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("descriptor %d is still open after %d was given: %v", first, second, err)
	}
	u.sent()
	if u.last != nil {
		t.Error("the last stream stays open")
	}
}
