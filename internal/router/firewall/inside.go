package firewall

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Uplink is the router's end of the pair that joins it to the host.
const Uplink = "uplink"

// Plan holds the addresses that the fixed rules are made of.
type Plan struct {
	Instance string
	HostLink string       // the host's end of the pair
	Subnet   netip.Prefix // of the containers, and at its end the two addresses of the pair
	Gateway  netip.Addr   // the router, as containers know it
	Host     netip.Addr   // the host, as the router knows it
	Flows    uint32       // tracked connections that one container may have towards the outside
}

// Inside is the table of the router namespace.
//
//	            from a container                         from the host
//	entry       sender must be a live (interface, address)   sender must not be a container's address
//	pass        to another container: chain neighbours    answers to a live container; new: open ports only
//	            answers → host; nothing to link-local,    to a confined one: nothing
//	            multicast, the host's own addresses;
//	            the rest → host, unless it is confined
//	local       gateway:53, nothing else                  nothing
//
// Every chain ends in a drop; what a well-meaning program could hit is refused with an error instead.
type Inside struct {
	table
	plan              Plan
	live, open, hosts *nftables.Set
	flows             *nftables.Set
	networks          networks
}

// OpenInside opens the socket of the table in the namespace that the calling thread is in, once and for all; Replace
// writes the table.
func OpenInside(plan Plan) (*Inside, error) {
	conn, err := dial(0)
	if err != nil {
		return nil, err
	}
	t := &nftables.Table{Name: plan.Instance, Family: nftables.TableFamilyINet}
	return &Inside{
		table: table{t: t, conn: conn}, plan: plan,
		live: &nftables.Set{Table: t, ID: 1, Name: "live", Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIFIndex, nftables.TypeIPAddr)},
		open: &nftables.Set{Table: t, ID: 2, Name: "open", Concatenation: true, KeyType: nftables.MustConcatSetType(
			nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)},
		hosts:    &nftables.Set{Table: t, ID: 3, Name: "hosts", KeyType: nftables.TypeIPAddr},
		flows:    &nftables.Set{Table: t, ID: 4, Name: "flows", KeyType: nftables.TypeIPAddr, Dynamic: true, Size: MaxEndpoints},
		networks: newNetworks(t, 5),
	}, nil
}

// Replace writes the whole table with these members. hosts are the host's own addresses, as far as they are known; the
// program at the host's end knows the rest (gate.go). Connections are counted anew from then on.
func (i *Inside) Replace(members []Member, hosts []netip.Addr) error {
	return i.write(
		append(i.elements(members), filled{i.hosts, addressElements(hosts)}, filled{i.flows, nil}),
		[]base{
			{name: "refuse", rules: refusals()},
			i.outward(), i.networks.neighbours(), i.entry(), i.pass(), i.localIn(),
			{name: "answer", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookOutput,
				policy: nftables.ChainPolicyDrop, rules: [][]expr.Any{rule(known(), accept()),
					rule(proto(unix.IPPROTO_ICMP), accept())}}, // the refusal of what is not tracked
		})
}

func (i *Inside) elements(members []Member) []filled {
	return append([]filled{{i.live, liveElements(members)}, {i.open, openElements(members)}}, i.networks.elements(members)...)
}

// entry runs before connection tracking: a forged sender costs no entry there, and neither does what goes to a neighbour,
// about whom the chain neighbours decides without state: otherwise two containers could fill the machine's table for all.
func (i *Inside) entry() base {
	return base{name: "entry", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting,
		priority: -300, policy: nftables.ChainPolicyDrop, rules: [][]expr.Any{
			rule(family(expr.CmpOpNeq, unix.NFPROTO_IPV4), drop()),
			rule(in(Uplink), addr(saddrOffset, expr.CmpOpEq, i.plan.Host), accept()),
			rule(in(Uplink), prefix(saddrOffset, expr.CmpOpNeq, i.plan.Subnet), accept()),
			rule(in(Uplink), drop()),
			rule(isIn(i.live, &expr.Meta{Key: expr.MetaKeyIIF, Register: reg0}, loadAddr(saddrOffset, reg1)),
				prefix(daddrOffset, expr.CmpOpEq, i.plan.Subnet), addr(daddrOffset, expr.CmpOpNeq, i.plan.Host),
				addr(daddrOffset, expr.CmpOpNeq, i.plan.Gateway), []expr.Any{&expr.Notrack{}}, accept()),
			rule(isIn(i.live, &expr.Meta{Key: expr.MetaKeyIIF, Register: reg0}, loadAddr(saddrOffset, reg1)), accept()),
			drop(),
		}}
}

func (i *Inside) pass() base {
	b := base{name: "pass", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward,
		policy: nftables.ChainPolicyDrop, rules: [][]expr.Any{
			rule(isIn(i.networks.confined, loadAddr(saddrOffset, reg0)), out(Uplink), goTo("refuse")),
			rule(isIn(i.networks.confined, loadAddr(daddrOffset, reg0)), in(Uplink), goTo("refuse")),
			rule(notIn(Uplink), out(Uplink), known(), accept()),
			rule(notIn(Uplink), notOut(Uplink), goTo("neighbours")),
			rule(notIn(Uplink), goTo("outward")),
			rule(isIn(i.live, &expr.Meta{Key: expr.MetaKeyOIF, Register: reg0}, loadAddr(daddrOffset, reg1)),
				known(), accept()),
			rule(isIn(i.live, &expr.Meta{Key: expr.MetaKeyOIF, Register: reg0}, loadAddr(daddrOffset, reg1)),
				isIn(i.open, loadAddr(daddrOffset, reg0), loadProto(reg1), loadPort(reg2)), accept()),
			goTo("refuse"),
		}}
	return b
}

// never gives the destinations that no container reaches, wherever the host's routes would lead: this network,
// loopback, link-local (169.254.169.254 is the cloud's metadata service), multicast, reserved and broadcast.
func never() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{0}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 3),
	}
}

func (i *Inside) outward() base {
	b := base{name: "outward"}
	for _, p := range append(never(), i.plan.Subnet) {
		b.rules = append(b.rules, rule(prefix(daddrOffset, expr.CmpOpEq, p), goTo("refuse")))
	}
	fresh := rule(out(Uplink), ctBits(expr.CtKeySTATE, expr.CtStateBitNEW))
	b.rules = append(b.rules,
		rule(isIn(i.hosts, loadAddr(daddrOffset, reg0)), goTo("refuse")),
		rule(fresh, i.overFlows(), goTo("refuse")),
		rule(fresh, accept()))
	return b
}

// overFlows matches a new connection of a container that has as many as it may: the kernel's table of connections is
// one for the whole machine, and whoever fills it takes the network from everybody (A2).
func (i *Inside) overFlows() []expr.Any {
	const over = 1 // NFT_CONNLIMIT_F_INV: match above the count, not below
	return []expr.Any{
		loadAddr(saddrOffset, reg0),
		&expr.Dynset{SrcRegKey: reg0, SetID: i.flows.ID, SetName: i.flows.Name, Operation: unix.NFT_DYNSET_OP_ADD,
			Exprs: []expr.Any{&expr.Connlimit{Count: i.plan.Flows, Flags: over}}},
	}
}

func (i *Inside) localIn() base {
	dns := func(p byte) []expr.Any {
		return rule(notIn(Uplink), addr(daddrOffset, expr.CmpOpEq, i.plan.Gateway), proto(p), dport(53), accept())
	}
	return base{name: "local", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookInput,
		policy: nftables.ChainPolicyDrop, rules: [][]expr.Any{
			dns(unix.IPPROTO_UDP), dns(unix.IPPROTO_TCP), goTo("refuse"),
		}}
}

// Add makes m live, with its ports.
func (i *Inside) Add(m Member) error { return i.add(i.elements([]Member{m})) }

// Change puts what now has in the place of what before had, in one transaction; both are the same endpoint.
func (i *Inside) Change(before, now Member) error {
	return i.commit(func(c *nftables.Conn) error {
		if err := send(c.SetDeleteElements, i.networks.elements([]Member{before})); err != nil {
			return err
		}
		return send(c.SetAddElements, i.networks.elements([]Member{now}))
	})
}

// Remove takes away what Add gave; from then on no packet of m passes, whatever becomes of its interface.
func (i *Inside) Remove(m Member) error { return i.remove(i.elements([]Member{m})) }
