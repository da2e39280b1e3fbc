package link

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/router/firewall"
	"github.com/brig-engine/brig/internal/router/rtnl"
	"github.com/brig-engine/brig/internal/wire"
)

// Endpoint is one container's way into the network. It is made for a pool, becomes live with Activate, and dies with
// its namespace; all that is known about it can be kept and handed to Adopt later.
type Endpoint = wire.Endpoint

// The container's side. Its index is above those of the interfaces that some kernels put into every namespace (tunl0,
// sit0 …); that of the router's side is above those that the kernel would choose there.
const (
	inContainer = "eth0"
	inIndex     = 100
	leastIndex  = 1 << 16
)

// numberFrom finds where the indexes of new endpoints begin: behind those of an earlier router.
func (r *Router) numberFrom() error {
	links, err := r.router.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list the router's interfaces: %w", err)
	}
	last := leastIndex
	for _, l := range links {
		last = max(last, l.Attrs().Index)
	}
	r.indexes.Store(int32(last))
	return nil
}

// NewEndpoint gives a network namespace an endpoint: eth0 with an address and routes. Nothing passes before Activate.
// netns is a descriptor of the namespace, and in a socket that was opened there. Its settings and its loopback are the
// caller's affair.
func (r *Router) NewEndpoint(netns int, in *rtnl.Socket) (*Endpoint, error) {
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

// attach makes the pair and the router's side: programs first, then up. The pair is a datagram of its own: had it
// failed, the rest of a batch would be carried out all the same. A /32 route that is still there belongs to a namespace
// that the kernel has not finished tearing down (15 to 55 ms): it is replaced, as its element is gone.
func (r *Router) attach(e *Endpoint, netns int) error {
	index := int(r.indexes.Add(1))
	near := rtnl.End{Name: e.Name, Index: index, MAC: routerMAC(), Flags: unix.IFF_NOARP}
	far := rtnl.End{Name: inContainer, Index: inIndex, MAC: macOf(e.Addr), Flags: unix.IFF_NOARP}
	var pair, rest rtnl.Batch
	pair.Pair(near, far, netns, r.mtu)
	if err := r.batches.Do(&pair); err != nil {
		return err
	}
	e.Ifindex = index
	if err := r.gate.GuardEndpoint(&rest, index, macOf(e.Addr), e.Addr); err != nil {
		return err
	}
	rest.Up(index)
	rest.Neighbour(index, e.Addr, macOf(e.Addr))
	rest.Route(index, netip.PrefixFrom(e.Addr, 32), netip.Addr{}, e.Gateway)
	return r.batches.Do(&rest)
}

// furnish sets up the container's side so that it looks as programs expect (traps.md 28): an address of the network
// with its prefix, the gateway inside it; but everything, neighbours too, goes by way of the gateway.
func (r *Router) furnish(in *rtnl.Socket, e *Endpoint) error {
	var b rtnl.Batch
	b.Up(inIndex)
	b.Address(inIndex, netip.PrefixFrom(e.Addr, e.PrefixLen))
	b.Neighbour(inIndex, e.Gateway, routerMAC())
	b.Route(inIndex, netip.PrefixFrom(e.Gateway, 32), netip.Addr{}, netip.Addr{})
	b.Route(inIndex, r.plan.Subnet, e.Gateway, netip.Addr{})
	b.Route(inIndex, netip.PrefixFrom(netip.IPv4Unspecified(), 0), e.Gateway, netip.Addr{})
	if err := in.Do(&b); err != nil {
		return err
	}
	return errors.Join(waitUp(in, inIndex), waitUp(r.batches, e.Ifindex))
}

// discard takes back an endpoint that was not finished. Deleting the link is slow, but this is the way of an error.
func (r *Router) discard(e *Endpoint) {
	if e.Ifindex != 0 {
		var b rtnl.Batch
		b.Delete(e.Ifindex)
		_ = r.batches.Do(&b)
		_ = r.gate.Forget(e.Ifindex, e.Addr)
	}
	r.pool.put(e.Addr)
}

func memberOf(e *Endpoint, ports []Port) firewall.Member {
	return firewall.Member{Ifindex: e.Ifindex, Addr: e.Addr, Ports: ports, Membership: e.Membership}
}

// Activate lets the endpoint talk, with the members of its networks too, and publishes its ports: one transaction of set
// elements, two with ports.
func (r *Router) Activate(e *Endpoint, ports []Port) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.members[e.Addr]; ok {
		return fmt.Errorf("endpoint %s is live already", e.Addr)
	}
	m := memberOf(e, ports)
	if err := r.gate.Admit(e.Addr, e.Membership); err != nil {
		return err
	}
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

// Join makes a live endpoint a member of the networks that it names now, and of no other. Both layers are told, whatever
// becomes of the other: a table that somebody has flushed must not keep in a network who has left it.
func (r *Router) Join(e *Endpoint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, live := r.members[e.Addr]
	if !live || m.Ifindex != e.Ifindex {
		return fmt.Errorf("endpoint %s is not live", e.Addr)
	}
	now := m
	now.Membership = e.Membership
	r.members[e.Addr] = now
	if err := errors.Join(r.gate.Admit(e.Addr, e.Membership), r.inner.Change(m, now)); err != nil {
		return fmt.Errorf("networks of endpoint %s: %w", e.Addr, err)
	}
	return nil
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
	if err := r.gate.Forget(e.Ifindex, e.Addr); err != nil {
		return err
	}
	r.pool.put(e.Addr)
	return nil
}

// Adopt takes over a live endpoint of an earlier router, with its ports. Sync then writes the tables and exchanges the
// programs, whose maps must know all endpoints by then.
func (r *Router) Adopt(e *Endpoint, ports []Port) error {
	if l, err := r.router.LinkByIndex(e.Ifindex); err != nil || l.Attrs().Name != e.Name {
		return fmt.Errorf("endpoint %s: its interface %s is gone", e.Addr, e.Name)
	}
	if err := r.pool.claim(e.Addr); err != nil {
		return err
	}
	if err := r.gate.Recognise(e.Ifindex, macOf(e.Addr), e.Addr); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[e.Addr] = memberOf(e, ports)
	return r.gate.Admit(e.Addr, e.Membership)
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
