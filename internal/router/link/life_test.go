package link

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// traces lists what an engine could leave on the host.
func (w *world) traces() []string {
	w.t.Helper()
	var out []string
	links, err := w.hostNL.LinkList()
	must(w.t, err)
	for _, l := range links {
		out = append(out, "link "+l.Attrs().Name)
	}
	routes, err := w.hostNL.RouteListFiltered(unix.AF_INET, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	must(w.t, err)
	for _, r := range routes {
		out = append(out, "route "+r.String())
	}
	rules, err := w.hostNL.RuleList(unix.AF_INET)
	must(w.t, err)
	for _, r := range rules {
		out = append(out, "rule "+r.String())
	}
	c, err := nftables.New(nftables.WithNetNSFd(w.host))
	must(w.t, err)
	tables, err := c.ListTables()
	must(w.t, err)
	for _, tb := range tables {
		out = append(out, "table "+tb.Name)
	}
	for _, name := range []string{"all", "default", "eth0"} {
		out = append(out, name+" forwarding "+readSysctl(w.t, w.host, "ipv4/conf/"+name+"/forwarding"),
			name+" rp_filter "+readSysctl(w.t, w.host, "ipv4/conf/"+name+"/rp_filter"))
	}
	return out
}

func TestCloseUndoesEveryChangeOnTheHost(t *testing.T) {
	w := newWorld(t)
	before := strings.Join(w.traces(), "\n")
	w.open(-1, nil)
	w.container(tcp("0.0.0.0", 8080, 80))
	if during := strings.Join(w.traces(), "\n"); during == before {
		t.Fatal("an open network left no trace: the test could not fail")
	}
	must(t, w.r.Close())
	if after := strings.Join(w.traces(), "\n"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestFailedOpenUndoesEveryChangeOnTheHost(t *testing.T) {
	w := newWorld(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "brigt"
	foreign := netlink.NewVeth(attrs)
	foreign.PeerName = "other"
	must(t, w.hostNL.LinkAdd(foreign))
	before := strings.Join(w.traces(), "\n")
	_, err := OpenRouter(Config{Instance: "brigt", HostNetns: w.host}, -1)
	if err == nil || !strings.Contains(err.Error(), "not Brig's") {
		t.Errorf("opened over a foreign interface: %v", err)
	}
	if after := strings.Join(w.traces(), "\n"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestHostBecomesNoRouterForItsNeighbours(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	inner := w.secondLAN()
	must(t, w.r.Refresh()) // as Watch does when lan1 gets its address
	if got := readSysctl(t, w.host, "ipv4/conf/lan1/forwarding"); got != "1" {
		t.Errorf("forwarding of the new interface is %s", got)
	}
	c := w.container()
	w.reaches("container to the second network", c.ns, "tcp", "10.98.0.2:80", "10.98.0.1")
	w.refused("outside to the second network", w.outside, "tcp", "10.98.0.2:80")
	w.refused("second network to outside", inner, "tcp", outsideIP+":80")
	flush(t, w.host)
	w.refused("outside to the second network, flushed", w.outside, "tcp", "10.98.0.2:80")
	w.refused("second network to outside, flushed", inner, "tcp", outsideIP+":80")
	must(t, w.r.Close())
	for _, name := range []string{"lan1", "eth0"} {
		if got := readSysctl(t, w.host, "ipv4/conf/"+name+"/forwarding"); got != "0" {
			t.Errorf("%s still forwards after Close", name)
		}
	}
}

// Docker or libvirt may come after us and switch forwarding on for everything.
func TestHostThatBecomesARouterByItselfStaysOne(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	inner := w.secondLAN()
	must(t, w.r.Refresh())
	w.refused("before", inner, "tcp", outsideIP+":80")
	forward := func(v string) {
		must(t, inside(w.host, func() error { return setSysctls(false, sysctl{"ipv4/ip_forward", v}) }))
		must(t, w.r.Refresh())
	}
	forward("1")
	c := w.container(tcp("0.0.0.0", 8080, 80))
	w.serve(c.ns, "0.0.0.0:80")
	check := func(when string) {
		t.Helper()
		w.reaches(when+": container", c.ns, "tcp", outsideIP+":80", hostIP)
		w.reaches(when+": published port", w.outside, "tcp", hostIP+":8080", outsideIP)
	}
	check("router")
	w.reaches("router: second network", inner, "tcp", outsideIP+":80", "10.98.0.2")
	forward("0")
	check("no router any more")
	w.refused("no router any more: second network", inner, "tcp", outsideIP+":80")
	forward("1")
	must(t, w.r.Close())
	w.reaches("closed: second network", inner, "tcp", outsideIP+":80", "10.98.0.2")
}

func TestPairThatWasTakenAwayIsMadeAgain(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	c := w.container(tcp("0.0.0.0", 8080, 80))
	w.serve(c.ns, "0.0.0.0:80")
	for what, take := range map[string]func(netlink.Link) error{
		"deleted": w.hostNL.LinkDel, "down": w.hostNL.LinkSetDown,
	} {
		l, err := w.hostNL.LinkByName("brigt")
		must(t, err)
		must(t, take(l))
		w.refused(what, c.ns, "tcp", outsideIP+":80")
		must(t, w.r.Refresh())
		w.reaches(what+", healed: egress", c.ns, "tcp", outsideIP+":80", hostIP)
		w.reaches(what+", healed: published port", w.outside, "tcp", hostIP+":8080", outsideIP)
		w.refused(what+", healed: straight", w.outside, "tcp", c.at(80))
	}
}

func TestWatchFollowsNewAddressesOfTheHost(t *testing.T) {
	w := newNetwork(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.r.Watch(ctx, func(err error) { t.Error(err) }) }()
	defer func() { cancel(); must(t, <-ended) }()
	w.serve(w.host, "0.0.0.0:22")
	c := w.container()
	eth, err := w.hostNL.LinkByName("eth0")
	must(t, err)
	time.Sleep(200 * time.Millisecond)
	must(t, w.hostNL.AddrAdd(eth, &netlink.Addr{IPNet: ipNet(netip.MustParseAddr("10.99.0.77"), 24)}))
	time.Sleep(time.Second)
	w.refusedAtOnce("new address, known", c.ns, "tcp", "10.99.0.77:22")
}

// With a firewall like ufw, whose forward policy is to drop, "ufw allow 8080" writes an input rule: published ports
// must follow it, so every client is served by the reserved socket.
func TestHostsFirewallIsToldAndNotOverruled(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	c := w.container(tcp("0.0.0.0", 8080, 80))
	w.serve(c.ns, "0.0.0.0:80")
	w.serve(w.host, "0.0.0.0:8080") // stands for brigd on the reserved socket
	w.reaches("no firewall: translated", w.outside, "tcp", hostIP+":8080", outsideIP)
	if got := w.r.Warnings(); len(got) != 0 {
		t.Errorf("warnings on a host without a firewall: %q", got)
	}
	conn, err := nftables.New(nftables.WithNetNSFd(w.host))
	must(t, err)
	policy := nftables.ChainPolicyDrop
	tb := conn.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4})
	conn.AddChain(&nftables.Chain{Name: "FORWARD", Table: tb, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &policy})
	must(t, conn.Flush())
	must(t, w.r.Refresh())
	if got := w.r.Warnings(); len(got) != 1 || !strings.Contains(got[0], "ip filter FORWARD") {
		t.Errorf("warnings: %q", got)
	}
	w.refused("egress through the host's firewall", c.ns, "tcp", outsideIP+":80")
	w.reaches("firewall: the socket's", w.outside, "tcp", hostIP+":8080", outsideIP)
	w.reaches("firewall: brigd's way", w.host, "tcp", c.at(80), w.r.HostAddress().String())
	must(t, w.r.Release(c.ep))
	d := w.container(tcp("0.0.0.0", 8080, 80))
	w.reaches("firewall: a later container", w.outside, "tcp", hostIP+":8080", outsideIP)
	conn.DelTable(tb)
	must(t, conn.Flush())
	must(t, w.r.Refresh())
	w.serve(d.ns, "0.0.0.0:80")
	w.reaches("firewall gone", w.outside, "tcp", hostIP+":8080", outsideIP)
	w.reaches("firewall gone: egress", d.ns, "tcp", outsideIP+":80", hostIP)
}

func TestAdoptionKeepsConnectionsAndRules(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	c := w.container(tcp("0.0.0.0", 8080, 80))
	dead := w.container(tcp("0.0.0.0", 8081, 80))
	w.serve(c.ns, "0.0.0.0:80")
	ns, err := unix.FcntlInt(uintptr(w.r.NetnsFD()), unix.F_DUPFD_CLOEXEC, 3)
	must(t, err)
	defer unix.Close(ns)
	state, err := json.Marshal(w.r.State())
	must(t, err)
	kept, err := json.Marshal(c.ep)
	must(t, err)

	w.r.drop() // the warden is gone; the keeper has the namespace
	w.reaches("no warden: egress", c.ns, "tcp", outsideIP+":80", hostIP)
	w.reaches("no warden: published port", w.outside, "tcp", hostIP+":8080", outsideIP)

	var s State
	must(t, json.Unmarshal(state, &s))
	w.open(ns, &s)
	var e Endpoint
	must(t, json.Unmarshal(kept, &e))
	must(t, w.r.Adopt(&e, []Port{tcp("0.0.0.0", 8080, 80)}))
	must(t, w.r.Sync())
	w.reaches("adopted: egress", c.ns, "tcp", outsideIP+":80", hostIP)
	w.reaches("adopted: published port", w.outside, "tcp", hostIP+":8080", outsideIP)
	w.refused("not adopted", dead.ns, "tcp", outsideIP+":80")
	if fresh := w.container(); fresh.ep.Addr == e.Addr {
		t.Errorf("the address %s was given twice", e.Addr)
	} else {
		w.reaches("a new endpoint", fresh.ns, "tcp", outsideIP+":80", hostIP)
	}
	must(t, w.r.Release(&e))
	w.refused("adopted and released", c.ns, "tcp", outsideIP+":80")
}

func TestKilledEngineIsCleanedUpByTheNext(t *testing.T) {
	w := newWorld(t)
	before := strings.Join(w.traces(), "\n")
	w.open(-1, nil)
	s := w.r.State()
	w.r.drop() // nobody holds the namespace: the kernel takes it and the pair away, and nothing else
	w.open(-1, &s)
	w.serve(w.outside, outsideIP+":80")
	c := w.container()
	w.reaches("egress", c.ns, "tcp", outsideIP+":80", hostIP)
	must(t, w.r.Close())
	if after := strings.Join(w.traces(), "\n"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestEnginesSideBySide(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	second, err := OpenRouter(Config{Instance: "brigt-2", HostNetns: w.host}, -1)
	must(t, err)
	if second.State().Subnet == w.r.State().Subnet {
		t.Errorf("both engines have %s", second.State().Subnet)
	}
	ns := netnsFor(t)
	e, err := newEndpoint(second, ns)
	must(t, err)
	must(t, second.Activate(e, nil))
	first := w.container(tcp("0.0.0.0", 8080, 80))
	w.serve(first.ns, "0.0.0.0:80")
	w.reaches("second engine", ns, "tcp", outsideIP+":80", hostIP)
	w.reaches("first engine", first.ns, "tcp", outsideIP+":80", hostIP)
	w.refused("from one to the other", ns, "tcp", first.at(80))
	must(t, second.Close())
	w.reaches("first engine when the second is gone", first.ns, "tcp", outsideIP+":80", hostIP)
}

func TestSubnetAvoidsTheHostsRoutes(t *testing.T) {
	w := newWorld(t)
	eth, err := w.hostNL.LinkByName("eth0")
	must(t, err)
	must(t, w.hostNL.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Table: 77,
		Dst: ipNet(netip.MustParseAddr("172.30.7.0"), 24), Gw: net.ParseIP(outsideIP)}))
	w.open(-1, nil)
	defer w.r.Close()
	if got := w.r.State().Subnet.String(); got != "172.29.0.0/16" {
		t.Errorf("subnet is %s", got)
	}
	_, err = OpenRouter(Config{Instance: "brigt-2", HostNetns: w.host,
		Subnets: []netip.Prefix{netip.MustParsePrefix("172.30.0.0/16")}}, -1)
	if err == nil || !strings.Contains(err.Error(), "no subnet is free") {
		t.Errorf("the only candidate is taken: %v", err)
	}
}

func TestNamespaceOfAUserNamespace(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	cmd := exec.Command("/bin/sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: 0x70000000, Size: 65536}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 0x70000000, Size: 65536}}}
	if err := cmd.Start(); err != nil {
		t.Skip("missing: user namespaces: " + err.Error())
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	ns, err := unix.Open("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(ns)
	e, err := newEndpoint(w.r, ns)
	must(t, err)
	must(t, w.r.Activate(e, nil))
	w.reaches("egress", ns, "tcp", outsideIP+":80", hostIP)
}

func TestOneContainerCannotFillTheTableOfConnections(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	greedy, other := w.container(), w.container()
	limit := int(w.r.plan.Flows)
	var c net.PacketConn
	must(t, inside(greedy.ns, func() (err error) { c, err = net.ListenPacket("udp", ":0"); return err }))
	defer c.Close()
	for i := range limit + 200 {
		// One flow per destination port; nobody listens there and nobody answers for long.
		_, _ = c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(outsideIP), Port: 1024 + i%60000})
	}
	_, err := ask(greedy.ns, "tcp", outsideIP+":80")
	if err == nil {
		t.Errorf("a connection beyond %d was possible", limit)
	}
	w.reaches("the other container", other.ns, "tcp", outsideIP+":80", hostIP)
}

func TestTwoHundredEndpoints(t *testing.T) {
	w := newNetwork(t)
	w.serve(w.outside, outsideIP+":80")
	var boxes []box
	for range 200 {
		boxes = append(boxes, w.container())
	}
	for _, i := range []int{0, 99, 199} {
		w.reaches("egress", boxes[i].ns, "tcp", outsideIP+":80", hostIP)
	}
	w.refusedAtOnce("neighbour", boxes[0].ns, "tcp", boxes[199].at(80))
	for _, b := range boxes[:199] {
		must(t, w.r.Release(b.ep))
	}
	must(t, w.r.Sync())
	w.reaches("the last one", boxes[199].ns, "tcp", outsideIP+":80", hostIP)
	w.refused("a released one", boxes[0].ns, "tcp", outsideIP+":80")
}
