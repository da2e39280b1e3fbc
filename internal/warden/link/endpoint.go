package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/firewall"
)

// Endpoint is one container's way into the network. It is made for a pool, becomes live with Activate, and dies with
// its namespace; all that is known about it can be kept as JSON and handed to Adopt later.
type Endpoint struct {
	Addr      netip.Addr `json:"addr"`
	PrefixLen int        `json:"prefixLen"`
	Gateway   netip.Addr `json:"gateway"`
	MAC       string     `json:"mac"`
	Ifindex   int        `json:"ifindex"` // of the router's side
	Name      string     `json:"name"`    // of the router's side
}

// inContainer is the name of the container's side.
const inContainer = "eth0"

// NewEndpoint gives the network namespace netns an endpoint: eth0 with an address, routes and settings, and loopback
// up. Nothing passes before Activate.
func (r *Router) NewEndpoint(netns int) (*Endpoint, error) {
	in, err := prepare(netns)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	addr, err := r.pool.take()
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", r.plan.Subnet, err)
	}
	e := &Endpoint{Addr: addr, PrefixLen: r.plan.Subnet.Bits(), Gateway: r.plan.Gateway, MAC: macOf(addr).String(),
		Name: "ep" + strconv.FormatUint(r.names.Add(1), 16)}
	if err := r.attach(e, netns); err != nil {
		r.discard(e)
		return nil, fmt.Errorf("endpoint %s, router's side: %w", addr, err)
	}
	if err := r.furnish(in, e); err != nil {
		r.discard(e)
		return nil, fmt.Errorf("endpoint %s, container's side: %w", addr, err)
	}
	return e, nil
}

// Loopback furnishes a namespace that has no network: its own loopback, with the same settings as with one.
func Loopback(netns int) error {
	in, err := prepare(netns)
	if err != nil {
		return err
	}
	defer in.Close()
	return raiseLoopback(in)
}

func raiseLoopback(in *netlink.Handle) error {
	lo, err := in.LinkByName("lo")
	if err == nil {
		err = in.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	return nil
}

// prepare sets what interfaces inherit and opens a handle in the namespace. Loopback keeps ::1; eth0 gets no IPv6
// address as long as the network has none. Ports below 1024 and ping sockets need no capability in a namespace that
// has no neighbours to fool. The range of groups is that of the kernel's own ids, since we write as the first user
// namespace.
func prepare(netns int) (h *netlink.Handle, err error) {
	err = inside(netns, func() error {
		if err := setSysctls(true, sysctl{"ipv6/conf/default/disable_ipv6", "1"}); err != nil {
			return err
		}
		if err := setSysctls(false, sysctl{"ipv4/ip_unprivileged_port_start", "0"},
			sysctl{"ipv4/ping_group_range", "0 2147483647"}); err != nil {
			return err
		}
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prepare network namespace: %w", err)
	}
	return h, nil
}

// attach makes the pair and the router's side: programs first, then up. A /32 route that is still there belongs to a
// namespace that the kernel has not finished tearing down (15 to 55 ms): it is replaced, as its element is gone.
func (r *Router) attach(e *Endpoint, netns int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = e.Name, r.mtu, routerMAC()
	attrs.NumTxQueues, attrs.NumRxQueues = 1, 1
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace, veth.PeerMTU = inContainer, netlink.NsFd(netns), uint32(r.mtu)
	veth.PeerHardwareAddr = macOf(e.Addr)
	if err := r.router.LinkAdd(veth); err != nil {
		return fmt.Errorf("make pair: %w", err)
	}
	if e.Ifindex = veth.Attrs().Index; e.Ifindex == 0 {
		return fmt.Errorf("find %s: %w", e.Name, unix.ENODEV)
	}
	if err := r.gate.GuardEndpoint(r.router, e.Ifindex, macOf(e.Addr), e.Addr); err != nil {
		return err
	}
	if err := r.router.LinkSetARPOff(veth); err != nil {
		return fmt.Errorf("switch ARP off: %w", err)
	}
	if err := r.router.LinkSetUp(veth); err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	err := r.router.NeighSet(&netlink.Neigh{LinkIndex: e.Ifindex, State: netlink.NUD_PERMANENT, IP: e.Addr.AsSlice(),
		HardwareAddr: macOf(e.Addr)})
	if err != nil {
		return fmt.Errorf("add neighbour: %w", err)
	}
	err = r.router.RouteReplace(&netlink.Route{LinkIndex: e.Ifindex, Scope: netlink.SCOPE_LINK, Dst: ipNet(e.Addr, 32),
		Src: e.Gateway.AsSlice()})
	if err != nil {
		return fmt.Errorf("add route: %w", err)
	}
	return nil
}

// furnish sets up the container's side so that it looks as programs expect (traps.md 28): an address of the network
// with its prefix, the gateway inside it; but everything, neighbours too, goes by way of the gateway.
func (r *Router) furnish(in *netlink.Handle, e *Endpoint) error {
	if err := raiseLoopback(in); err != nil {
		return err
	}
	eth, err := in.LinkByName(inContainer)
	if err != nil {
		return fmt.Errorf("find %s: %w", inContainer, err)
	}
	if err := in.LinkSetARPOff(eth); err != nil {
		return fmt.Errorf("switch ARP off: %w", err)
	}
	err = in.AddrAdd(eth, &netlink.Addr{IPNet: ipNet(e.Addr, e.PrefixLen), Flags: unix.IFA_F_NOPREFIXROUTE})
	if err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	if err := in.LinkSetUp(eth); err != nil {
		return fmt.Errorf("bring up %s: %w", inContainer, err)
	}
	index, gw := eth.Attrs().Index, net.IP(e.Gateway.AsSlice())
	err = in.NeighAdd(&netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: gw, HardwareAddr: routerMAC()})
	if err != nil {
		return fmt.Errorf("add gateway as neighbour: %w", err)
	}
	for _, rt := range []netlink.Route{
		{LinkIndex: index, Dst: ipNet(e.Gateway, 32), Scope: netlink.SCOPE_LINK},
		{LinkIndex: index, Dst: prefixNet(r.plan.Subnet), Gw: gw},
		{LinkIndex: index, Dst: ipNet(netip.IPv4Unspecified(), 0), Gw: gw},
	} {
		if err := in.RouteAdd(&rt); err != nil {
			return fmt.Errorf("add route to %s: %w", rt.Dst, err)
		}
	}
	return errors.Join(waitUp(in, index), waitUp(r.router, e.Ifindex))
}

// discard takes back an endpoint that was not finished. Deleting the link is slow, but this is the way of an error.
func (r *Router) discard(e *Endpoint) {
	if e.Ifindex != 0 {
		_ = r.router.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: e.Name, Index: e.Ifindex}})
		_ = r.gate.Forget(e.Ifindex)
	}
	r.pool.put(e.Addr)
}

func (e *Endpoint) member(ports []Port) firewall.Member {
	return firewall.Member{Ifindex: e.Ifindex, Addr: e.Addr, Ports: ports}
}

// Activate lets the endpoint talk and publishes its ports: one transaction of set elements, two with ports.
func (r *Router) Activate(e *Endpoint, ports []Port) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.members[e.Addr]; ok {
		return fmt.Errorf("endpoint %s is live already", e.Addr)
	}
	m := e.member(ports)
	if err := r.inner.Add(m); err != nil {
		return fmt.Errorf("endpoint %s: %w", e.Addr, err)
	}
	if err := r.publish(m); err != nil {
		_ = r.inner.Remove(m)
		return fmt.Errorf("publish ports of %s: %w", e.Addr, err)
	}
	r.members[e.Addr] = m
	return nil
}

func (r *Router) publish(m firewall.Member) error {
	if err := r.outer.Add(m); err != nil {
		return err
	}
	return r.forgetFlows(m)
}

// Release revokes the endpoint, live or not, and gives its address back. Its pair goes when the caller closes the last
// descriptor of the namespace: deleting the link here would take 14 to 32 ms.
func (r *Router) Release(e *Endpoint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, live := r.members[e.Addr]
	if live && m.Ifindex != e.Ifindex {
		return fmt.Errorf("endpoint %s is now another's", e.Addr)
	}
	if live {
		// The router's table first: it is the one that decides. The host's may have been flushed; Sync heals both.
		if err := r.inner.Remove(m); err != nil {
			return fmt.Errorf("revoke endpoint %s: %w", e.Addr, err)
		}
		delete(r.members, e.Addr)
		if err := r.outer.Remove(m); err != nil {
			if err := r.outer.Replace(r.list(), len(r.blockers) > 0); err != nil {
				return fmt.Errorf("withdraw ports of %s: %w", e.Addr, err)
			}
		}
		if err := r.forgetFlows(m); err != nil {
			return fmt.Errorf("withdraw ports of %s: %w", e.Addr, err)
		}
	}
	if err := r.gate.Forget(e.Ifindex); err != nil {
		return err
	}
	r.pool.put(e.Addr)
	return nil
}

// Adopt takes over a live endpoint of an earlier warden with its ports. Sync then writes the tables.
func (r *Router) Adopt(e *Endpoint, ports []Port) error {
	if l, err := r.router.LinkByIndex(e.Ifindex); err != nil || l.Attrs().Name != e.Name {
		return fmt.Errorf("endpoint %s: its interface %s is gone", e.Addr, e.Name)
	}
	if err := r.pool.claim(e.Addr); err != nil {
		return err
	}
	if err := r.gate.GuardEndpoint(r.router, e.Ifindex, macOf(e.Addr), e.Addr); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[e.Addr] = e.member(ports)
	return nil
}

// forgetFlows drops tracked UDP flows to the ports of m: a sender that does not pause would otherwise reach the
// container that had the port before, or nobody, for as long as it goes on.
func (r *Router) forgetFlows(m firewall.Member) error {
	ports := map[uint16]bool{}
	for _, p := range m.Ports {
		if p.Proto == unix.IPPROTO_UDP {
			ports[p.HostPort] = true
		}
	}
	if len(ports) == 0 {
		return nil
	}
	_, err := r.host.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, udpTo(ports))
	if err != nil {
		return fmt.Errorf("forget UDP flows: %w", err)
	}
	return nil
}

// udpTo matches tracked UDP flows by the port that their first packet was sent to.
type udpTo map[uint16]bool

func (u udpTo) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	return f.Forward.Protocol == unix.IPPROTO_UDP && u[f.Forward.DstPort]
}
