package firewall

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// passMark is set on packets that the host's table lets through to the router. The program at the host's end (gate.go)
// drops what was forwarded without it, so a flushed table closes the way instead of opening it.
const passMark = 0x02000000

// Host is Brig's table in the host's namespace.
//
//	arrive   nat   published ports: destination becomes the container's. Not for containers, not over loopback.
//	leave    nat   what containers send to the outside gets the host's address
//	through        to the router: answers and translated connections only; from it: outside only
//	enter          containers reach no service of the host
//	mark           passMark on what may go to the router
//
// The rules accept in the name of this table only: the host's own firewall can still refuse (traps.md 6). That our
// switching forwarding on makes no router of the host (traps.md 27) is not said here, where it could be flushed, but in
// routing rules (package link).
type Host struct {
	table
	plan         Plan
	wide, narrow *nftables.Set
	splice       bool
}

// NewHost describes the table in the host's namespace, of which netns is a descriptor (0: the process's own); Replace
// writes it.
func NewHost(netns int, plan Plan) *Host {
	t := &nftables.Table{Name: plan.Instance, Family: nftables.TableFamilyIPv4}
	port := nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)
	addrPort := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)
	target := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
	return &Host{
		table: table{t: t, dial: func() (*nftables.Conn, error) { return dial(netns) }}, plan: plan,
		wide: &nftables.Set{Table: t, ID: 1, Name: "ports", IsMap: true, Concatenation: true,
			KeyType: port, DataType: target},
		narrow: &nftables.Set{Table: t, ID: 2, Name: "address_ports", IsMap: true, Concatenation: true,
			KeyType: addrPort, DataType: target},
	}
}

// Replace writes the whole table with the ports of these members. With splice there are no translations, now and in
// later calls of Add: every client of a published port is then served by its real socket, as a service of the host would
// be, and the host's input rules decide. Calls must not overlap with Add and Remove.
func (h *Host) Replace(members []Member, splice bool) error {
	h.splice = splice
	return h.write(h.elements(members), h.chains())
}

func (h *Host) elements(members []Member) []filled {
	if h.splice {
		members = nil
	}
	wide, narrow := translations(members)
	return []filled{{h.wide, wide}, {h.narrow, narrow}}
}

func (h *Host) chains() []base {
	link := h.plan.HostLink
	loadPorts := []expr.Any{loadProto(reg0), loadPort(reg1)}
	loadAddrPorts := []expr.Any{loadAddr(daddrOffset, reg0), loadProto(reg1), loadPort(reg2)}
	return []base{
		{name: "arrive", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPrerouting, priority: -100,
			policy: nftables.ChainPolicyAccept, rules: [][]expr.Any{
				rule(in(link), accept()),
				rule(in("lo"), accept()),
				rule(localDst(), translate(h.narrow, loadAddrPorts...)),
				rule(localDst(), translate(h.wide, loadPorts...)),
			}},
		{name: "leave", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting, priority: 100,
			policy: nftables.ChainPolicyAccept, rules: [][]expr.Any{
				rule(prefix(saddrOffset, expr.CmpOpEq, h.plan.Subnet), notOut(link), []expr.Any{&expr.Masq{}}),
			}},
		{name: "through", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward, priority: -10,
			policy: nftables.ChainPolicyAccept, rules: h.through()},
		{name: "enter", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookInput, priority: -10,
			policy: nftables.ChainPolicyAccept, rules: [][]expr.Any{
				rule(in(link), addr(daddrOffset, expr.CmpOpEq, h.plan.Host), known(), accept()),
				rule(in(link), drop()),
			}},
		{name: "mark", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPostrouting, priority: 300,
			policy: nftables.ChainPolicyAccept, rules: [][]expr.Any{
				rule(out(link), known(), setMark()),
				rule(out(link), translated(), setMark()),
			}},
	}
}

func (h *Host) through() [][]expr.Any {
	link := h.plan.HostLink
	return [][]expr.Any{
		rule(in(link), out(link), drop()),
		rule(in(link), prefix(saddrOffset, expr.CmpOpNeq, h.plan.Subnet), drop()),
		rule(in(link), accept()),
		rule(out(link), known(), accept()),
		rule(out(link), translated(), accept()),
		rule(out(link), drop()),
	}
}

// setMark adds passMark to whatever mark the packet has.
func setMark() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^uint32(passMark)), Xor: binaryutil.NativeEndian.PutUint32(passMark)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg0, SourceRegister: true},
	}
}

// Add publishes the ports of m. A member without ports costs nothing here: an empty transaction is not sent.
func (h *Host) Add(m Member) error { return h.add(h.elements([]Member{m})) }

// Remove takes the ports of m away.
func (h *Host) Remove(m Member) error { return h.remove(h.elements([]Member{m})) }

// Blockers names the chains of other programs that drop what is forwarded unless a rule says otherwise: ufw's,
// firewalld's or Docker's. An accept of ours does not overrule them, and whether one of their rules lets us through is
// not known. Chains of the old iptables interface cannot be seen.
func (h *Host) Blockers() (names []string, err error) {
	err = h.use(func(c *nftables.Conn) error {
		chains, err := c.ListChains()
		for _, ch := range chains {
			ours := ch.Table.Name == h.t.Name && ch.Table.Family == h.t.Family
			if ours || ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Policy == nil ||
				*ch.Policy != nftables.ChainPolicyDrop {
				continue
			}
			switch ch.Table.Family {
			case nftables.TableFamilyIPv4:
				names = append(names, "ip "+ch.Table.Name+" "+ch.Name)
			case nftables.TableFamilyINet:
				names = append(names, "inet "+ch.Table.Name+" "+ch.Name)
			}
		}
		return err
	})
	return names, err
}
