package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/router/rtnl"
)

// world is a host with one uplink and one machine outside, all in namespaces that the test made:
//
//	container … router ══ brigt ─ host 10.99.0.1 ══ 10.99.0.2 outside, with a route to the containers of its own making
type world struct {
	t             testing.TB
	host, outside int
	hostNL        *netlink.Handle
	r             *Router
}

const (
	hostIP, outsideIP = "10.99.0.1", "10.99.0.2"
	patience          = 700 * time.Millisecond
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func netnsFor(t testing.TB) int {
	t.Helper()
	fd, err := newNetns()
	if errors.Is(err, unix.EPERM) {
		t.Skip("missing: the right to make network namespaces")
	}
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// newWorld makes the host and the outside, and no router yet.
func newWorld(t testing.TB) *world {
	t.Helper()
	if t, ok := t.(*testing.T); ok {
		t.Parallel() // most of the time these tests wait for packets that must not come
	}
	w := &world{t: t, host: netnsFor(t), outside: netnsFor(t)}
	var err error
	w.hostNL, err = dial(w.host, unix.NETLINK_ROUTE)
	must(t, err)
	t.Cleanup(w.hostNL.Close)
	out, err := dial(w.outside, unix.NETLINK_ROUTE)
	must(t, err)
	defer out.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	v := netlink.NewVeth(attrs)
	v.PeerName, v.PeerNamespace = "eth0", netlink.NsFd(w.outside)
	must(t, w.hostNL.LinkAdd(v))
	must(t, inside(w.host, func() error {
		return setSysctls(false, sysctl{"ipv4/ip_forward", "0"})
	}))
	for _, side := range []struct {
		h    *netlink.Handle
		addr string
	}{{w.hostNL, hostIP}, {out, outsideIP}} {
		for _, name := range []string{"lo", "eth0"} {
			l, err := side.h.LinkByName(name)
			must(t, err)
			if name == "eth0" {
				must(t, side.h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.MustParseAddr(side.addr), 24)}))
			}
			must(t, side.h.LinkSetUp(l))
		}
	}
	eth, err := w.hostNL.LinkByName("eth0")
	must(t, err)
	must(t, settled(w.hostNL, eth.Attrs().Index))
	far, err := out.LinkByName("eth0")
	must(t, err)
	must(t, settled(out, far.Attrs().Index))
	must(t, w.hostNL.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: ipNet(netip.IPv4Unspecified(), 0),
		Gw: net.ParseIP(outsideIP)}))
	return w
}

// newNetwork is a world with an open router.
func newNetwork(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.open(-1, nil)
	t.Cleanup(func() {
		if w.r != nil {
			w.r.Close()
		}
	})
	return w
}

func (w *world) open(existing int, state *State) {
	w.t.Helper()
	r, err := OpenRouter(Config{Instance: "brigt", HostNetns: w.host, State: state}, existing)
	must(w.t, err)
	w.r = r
}

// secondLAN joins another network to the host, lan1, and returns its only machine: 10.98.0.2, which serves on port 80.
func (w *world) secondLAN() int {
	t := w.t
	t.Helper()
	inner := netnsFor(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lan1"
	v := netlink.NewVeth(attrs)
	v.PeerName, v.PeerNamespace = "eth0", netlink.NsFd(inner)
	must(t, w.hostNL.LinkAdd(v))
	in, err := dial(inner, unix.NETLINK_ROUTE)
	must(t, err)
	defer in.Close()
	for _, side := range []struct {
		h          *netlink.Handle
		name, addr string
	}{{w.hostNL, "lan1", "10.98.0.1"}, {in, "eth0", "10.98.0.2"}} {
		l, err := side.h.LinkByName(side.name)
		must(t, err)
		must(t, side.h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.MustParseAddr(side.addr), 24)}))
		must(t, side.h.LinkSetUp(l))
	}
	for h, name := range map[*netlink.Handle]string{w.hostNL: "lan1", in: "eth0"} {
		l, err := h.LinkByName(name)
		must(t, err)
		must(t, settled(h, l.Attrs().Index))
	}
	must(t, in.RouteAdd(&netlink.Route{Dst: ipNet(netip.IPv4Unspecified(), 0), Gw: net.ParseIP("10.98.0.1")}))
	out, err := dial(w.outside, unix.NETLINK_ROUTE)
	must(t, err)
	defer out.Close()
	must(t, out.RouteAdd(&netlink.Route{Dst: ipNet(netip.MustParseAddr("10.98.0.0"), 24), Gw: net.ParseIP(hostIP)}))
	w.serve(inner, "10.98.0.2:80")
	return inner
}

// outsideRoute lets the machine outside send straight to the containers, as an attacker on the LAN would.
func (w *world) outsideRoute() {
	w.t.Helper()
	out, err := dial(w.outside, unix.NETLINK_ROUTE)
	must(w.t, err)
	defer out.Close()
	must(w.t, out.RouteAdd(&netlink.Route{Dst: prefixNet(w.r.State().Subnet), Gw: net.ParseIP(hostIP)}))
}

// settled is waitUp for a handle.
func settled(h *netlink.Handle, index int) error {
	for range 1000 {
		l, err := h.LinkByIndex(index)
		if err != nil || l.Attrs().OperState == netlink.OperUp {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("interface %d does not come up", index)
}

type box struct {
	ns int
	ep *Endpoint
}

// container makes a namespace with a live endpoint.
func (w *world) container(ports ...Port) box {
	w.t.Helper()
	b := box{ns: netnsFor(w.t)}
	var err error
	b.ep, err = newEndpoint(w.r, b.ns)
	must(w.t, err)
	must(w.t, w.r.Activate(b.ep, ports))
	return b
}

func (b box) at(port int) string { return fmt.Sprintf("%s:%d", b.ep.Addr, port) }

// newEndpoint does what the warden does before it asks.
func newEndpoint(r *Router, ns int) (*Endpoint, error) {
	var in *rtnl.Socket
	err := inside(ns, func() (err error) {
		err = setSysctls(true, sysctl{"ipv6/conf/default/disable_ipv6", "1"},
			sysctl{"ipv4/ip_unprivileged_port_start", "0"}, sysctl{"ipv4/ping_group_range", "0 2147483647"})
		if err == nil {
			in, err = rtnl.Open()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var up rtnl.Batch
	up.Up(rtnl.Loopback)
	if err := in.Do(&up); err != nil {
		return nil, err
	}
	return r.NewEndpoint(ns, in)
}

// newNetns makes a network namespace, owned by the process's user namespace, and returns a descriptor of it.
func newNetns() (fd int, err error) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			fd, err = currentNetns()
		}
		done <- err
	}()
	return fd, <-done
}

// serve answers every TCP connection with the client's address, and every datagram likewise, until the test ends.
func (w *world) serve(ns int, addr string) {
	w.t.Helper()
	var l net.Listener
	var u net.PacketConn
	must(w.t, inside(ns, func() (err error) {
		if l, err = net.Listen("tcp", addr); err != nil {
			return err
		}
		u, err = net.ListenPacket("udp", addr)
		return err
	}))
	w.t.Cleanup(func() { l.Close(); u.Close() })
	go tellSenders(l)
	go tellDatagramSenders(u)
}

// tellSenders answers every connection with its sender's address until l is closed.
func tellSenders(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, host(c.RemoteAddr()))
		c.Close()
	}
}

// tellDatagramSenders answers every datagram with its sender's address until c is closed.
func tellDatagramSenders(c net.PacketConn) {
	buf := make([]byte, 100)
	for {
		_, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		c.WriteTo([]byte(host(from)), from)
	}
}

func host(a net.Addr) string {
	h, _, _ := net.SplitHostPort(a.String())
	return h
}

// ask connects from ns to a server of serve and returns what it said.
func ask(ns int, network, addr string) (string, error) {
	var c net.Conn
	err := inside(ns, func() (err error) {
		c, err = net.DialTimeout(network, addr, patience)
		return err
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if network == "udp" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		return string(buf[:n]), err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

func (w *world) reaches(what string, ns int, network, addr, sees string) {
	w.t.Helper()
	got, err := ask(ns, network, addr)
	if err != nil {
		w.t.Errorf("%s (%s %s): %v", what, network, addr, err)
	} else if sees != "" && got != sees {
		w.t.Errorf("%s (%s %s): the server saw %s, want %s", what, network, addr, got, sees)
	}
}

func (w *world) refused(what string, ns int, network, addr string) {
	w.t.Helper()
	if got, err := ask(ns, network, addr); err == nil {
		w.t.Errorf("%s (%s %s): CONNECTED, the server saw %s", what, network, addr, got)
	}
}

// refusedAtOnce wants an error that is not a time-out.
func (w *world) refusedAtOnce(what string, ns int, network, addr string) {
	w.t.Helper()
	_, err := ask(ns, network, addr)
	var ne net.Error
	if err == nil || errors.As(err, &ne) && ne.Timeout() {
		w.t.Errorf("%s (%s %s): want a refusal, got %v", what, network, addr, err)
	}
}

// flush does what `nft flush ruleset` does.
func flush(t testing.TB, ns int) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(ns))
	must(t, err)
	c.FlushRuleset()
	must(t, c.Flush())
}

func readSysctl(t testing.TB, ns int, name string) string {
	t.Helper()
	var b []byte
	must(t, inside(ns, func() (err error) {
		b, err = os.ReadFile("/proc/sys/net/" + name)
		return err
	}))
	return strings.TrimSpace(string(b))
}
