package link

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func tcp(hostIP string, hostPort, port uint16) Port {
	return Port{Proto: unix.IPPROTO_TCP, HostIP: netip.MustParseAddr(hostIP), HostPort: hostPort, ContainerPort: port}
}

func udp(hostIP string, hostPort, port uint16) Port {
	p := tcp(hostIP, hostPort, port)
	p.Proto = unix.IPPROTO_UDP
	return p
}

func TestContainerReachesOutsideWithTheHostsAddress(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	c := w.container()
	w.reaches("egress", c.ns, "tcp", outsideIP+":80", hostIP)
	w.reaches("egress", c.ns, "udp", outsideIP+":80", hostIP)
}

func TestContainersReachNeitherEachOtherNorTheHost(t *testing.T) {
	w := newNetwork(t)
	a, b := w.container(), w.container(tcp("0.0.0.0", 8080, 80))
	w.serve(b.ns, "0.0.0.0:80")
	w.serve(w.host, "0.0.0.0:22")
	w.serve(w.host, "0.0.0.0:40000")
	for _, network := range []string{"tcp", "udp"} {
		w.refusedAtOnce("neighbour, published port", a.ns, network, b.at(80))
		w.refusedAtOnce("neighbour, other port", a.ns, network, b.at(81))
		w.refusedAtOnce("host, by the pair's address", a.ns, network, w.r.HostAddress().String()+":22")
		w.refusedAtOnce("host, high port", a.ns, network, w.r.HostAddress().String()+":40000")
		w.refusedAtOnce("host, by its own address", a.ns, network, hostIP+":22")
		w.refusedAtOnce("host, published port", a.ns, network, hostIP+":8080")
		w.refusedAtOnce("gateway", a.ns, network, w.r.Gateway().String()+":22")
		w.refusedAtOnce("metadata service", a.ns, network, "169.254.169.254:80")
	}
}

func TestSecondLayerHoldsWithoutAnyRule(t *testing.T) {
	w := newNetwork(t)
	a, b := w.container(), w.container(tcp("0.0.0.0", 8080, 80))
	w.serve(b.ns, "0.0.0.0:80")
	w.serve(w.host, "0.0.0.0:22")
	w.serve(w.host, "0.0.0.0:80")
	w.outsideRoute()
	flush(t, w.host)
	flush(t, w.r.NetnsFD())
	w.reaches("the host reaches its container: the way is there", w.host, "tcp", b.at(80), "")
	for _, network := range []string{"tcp", "udp"} {
		w.refused("neighbour", a.ns, network, b.at(80))
		w.refused("host, by the pair's address", a.ns, network, w.r.HostAddress().String()+":22")
		w.refused("host, by its own address", a.ns, network, hostIP+":22")
		w.refused("from outside, straight", w.outside, network, b.at(80))
		w.refused("from outside, by the published port", w.outside, network, hostIP+":8080")
	}
}

func TestFlushOfTheHostsRulesOpensNothingAndHeals(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	w.serve(w.host, "0.0.0.0:22")
	a, b := w.container(), w.container(tcp("0.0.0.0", 8080, 80), tcp("127.0.0.1", 8081, 81))
	w.serve(b.ns, "0.0.0.0:80")
	w.serve(b.ns, "0.0.0.0:81")
	w.outsideRoute()
	attack := func(when string) {
		t.Helper()
		w.refused(when+": neighbour", a.ns, "tcp", b.at(80))
		w.refused(when+": host", a.ns, "tcp", hostIP+":22")
		w.refused(when+": host, pair", a.ns, "tcp", w.r.HostAddress().String()+":22")
		w.refused(when+": from outside, straight to a published port", w.outside, "tcp", b.at(80))
		w.refused(when+": from outside, straight to a port published on loopback", w.outside, "tcp", b.at(81))
		w.refused(when+": from outside, straight to another port", w.outside, "tcp", b.at(82))
	}
	attack("before")
	w.reaches("published port", w.outside, "tcp", hostIP+":8080", outsideIP)
	flush(t, w.host)
	attack("flushed")
	w.refused("published port after the flush", w.outside, "tcp", hostIP+":8080")
	must(t, w.r.Refresh())
	attack("healed")
	w.reaches("published port, healed", w.outside, "tcp", hostIP+":8080", outsideIP)
	w.reaches("egress, healed", a.ns, "tcp", outsideIP+":80", hostIP)
}

func TestPublishedPorts(t *testing.T) {
	w := newNetwork(t)
	c := w.container(tcp("0.0.0.0", 8080, 80), udp("0.0.0.0", 8053, 53), tcp(hostIP, 8081, 80), tcp("10.99.0.7", 8082, 80),
		tcp("127.0.0.1", 8083, 80))
	w.serve(c.ns, "0.0.0.0:80")
	w.serve(c.ns, "0.0.0.0:53")
	w.serve(c.ns, "0.0.0.0:81")
	w.reaches("wide", w.outside, "tcp", hostIP+":8080", outsideIP)
	w.reaches("wide, UDP", w.outside, "udp", hostIP+":8053", outsideIP)
	w.reaches("narrow", w.outside, "tcp", hostIP+":8081", outsideIP)
	w.refused("published on another address", w.outside, "tcp", hostIP+":8082")
	w.refused("published on loopback", w.outside, "tcp", hostIP+":8083")
	w.refused("other protocol", w.outside, "udp", hostIP+":8080")
	w.reaches("from the host, as brigd does it", w.host, "tcp", c.at(80), w.r.HostAddress().String())
	w.refusedAtOnce("from the host, not published", w.host, "tcp", c.at(81))
	must(t, w.r.Release(c.ep))
	w.refused("released", w.outside, "tcp", hostIP+":8080")
	w.refused("released, from the host", w.host, "tcp", c.at(80))
	d := w.container(udp("0.0.0.0", 8053, 53))
	w.serve(d.ns, "0.0.0.0:53")
	w.reaches("the port's next owner", w.outside, "udp", hostIP+":8053", outsideIP)
}

func TestReleasedEndpointIsMute(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	c := w.container()
	w.reaches("live", c.ns, "tcp", outsideIP+":80", "")
	must(t, w.r.Release(c.ep))
	w.refused("released, namespace still open", c.ns, "tcp", outsideIP+":80")
	must(t, w.r.Release(c.ep))
}

func TestPooledEndpointIsMuteUntilActivated(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	ns := netnsFor(t)
	e, err := newEndpoint(w.r, ns)
	must(t, err)
	w.refused("pooled", ns, "tcp", outsideIP+":80")
	must(t, w.r.Activate(e, nil))
	w.reaches("activated", ns, "tcp", outsideIP+":80", "")
	if w.r.Activate(e, nil) == nil {
		t.Error("one endpoint was activated twice")
	}
}

func TestContainerSideLooksAsProgramsExpect(t *testing.T) {
	w := newNetwork(t)
	c := w.container()
	for name, want := range map[string]string{
		"ipv4/ip_unprivileged_port_start": "0", "ipv4/ping_group_range": "0\t2147483647",
		"ipv6/conf/eth0/disable_ipv6": "1", "ipv6/conf/lo/disable_ipv6": "0",
	} {
		if got := readSysctl(t, c.ns, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	h, err := dial(c.ns, unix.NETLINK_ROUTE)
	must(t, err)
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	must(t, err)
	addrs, err := h.AddrList(eth, unix.AF_INET)
	must(t, err)
	if len(addrs) != 1 || addrs[0].IPNet.String() != c.ep.Addr.String()+"/16" {
		t.Errorf("eth0 has %v, want %s/16", addrs, c.ep.Addr)
	}
	if eth.Attrs().HardwareAddr.String() != c.ep.MAC {
		t.Errorf("eth0 has MAC %s, want %s", eth.Attrs().HardwareAddr, c.ep.MAC)
	}
	w.serve(c.ns, "127.0.0.1:80")
	w.reaches("own loopback", c.ns, "tcp", "127.0.0.1:80", "")
	w.serve(c.ns, "[::1]:81")
	w.reaches("own loopback, IPv6", c.ns, "tcp", "[::1]:81", "")
}
