package firewall

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/brig-engine/brig/internal/wire"
)

// Networks are data: no rule, chain or set is made for one. An endpoint has places, each of which holds the number of a
// network, and is an element of every network that it is a member of:
//
//	joined     address . place    → number
//	meets      number . address                     one element for each network that an endpoint is a member of
//	confined   address                              reaches nothing outside, and nothing outside reaches it
//
// A packet between endpoints passes if one of its sender's numbers, and the receiver's address, are an element of meets:
// a fixed rule for each place, two look-ups each, whatever the number of containers and networks. There is no state:
// whoever leaves a network is cut off from it in the middle of a connection.
type networks struct{ joined, meets, confined *nftables.Set }

// newNetworks describes the sets of table t; their ids begin with first.
func newNetworks(t *nftables.Table, first uint32) networks {
	number := nftables.TypeMark // an opaque number of four bytes
	return networks{
		joined: &nftables.Set{Table: t, ID: first, Name: "joined", IsMap: true, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeMark), DataType: number},
		meets: &nftables.Set{Table: t, ID: first + 1, Name: "meets", Concatenation: true,
			KeyType: nftables.MustConcatSetType(number, nftables.TypeIPAddr)},
		confined: &nftables.Set{Table: t, ID: first + 2, Name: "confined", KeyType: nftables.TypeIPAddr},
	}
}

// neighbours decides about packets from one endpoint to another.
func (n networks) neighbours() base {
	b := base{name: "neighbours"}
	for place := range uint32(wire.MaxNetworks) {
		b.rules = append(b.rules, rule([]expr.Any{
			loadAddr(saddrOffset, reg0),
			&expr.Immediate{Register: reg1, Data: number4(place)},
			&expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetName: n.joined.Name, SetID: n.joined.ID},
			loadAddr(daddrOffset, reg1),
			&expr.Lookup{SourceRegister: reg0, SetName: n.meets.Name, SetID: n.meets.ID},
		}, accept()))
	}
	b.rules = append(b.rules, goTo("refuse"))
	return b
}

// elements gives what the members have in the three sets.
func (n networks) elements(members []Member) []filled {
	var joined, meets, confined []nftables.SetElement
	for _, m := range members {
		a := m.Addr.As4()
		for place, number := range m.Networks {
			joined = append(joined, nftables.SetElement{Key: append(a[:4:4], number4(uint32(place))...), Val: number4(number)})
			meets = append(meets, nftables.SetElement{Key: append(number4(number), a[:]...)})
		}
		if m.Confined {
			confined = append(confined, nftables.SetElement{Key: a[:]})
		}
	}
	return []filled{{n.joined, joined}, {n.meets, meets}, {n.confined, confined}}
}

func number4(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// Values of the second layer's map of members, by address: the numbers, and after them a word that is not 0 for a
// confined endpoint.
const (
	confinedAt = 4 * wire.MaxNetworks
	memberSize = confinedAt + 4
)

// Admit says, in the second layer's map, what the endpoint with this address is a member of. The tables decide as well.
func (g *Gate) Admit(a netip.Addr, s wire.Membership) error {
	value := make([]byte, 0, memberSize)
	for _, n := range s.Networks {
		value = append(value, number4(n)...)
	}
	value = append(value, make([]byte, memberSize-len(value))...)
	if s.Confined {
		value[confinedAt] = 1
	}
	if err := g.members.Put(a.AsSlice(), value); err != nil {
		return fmt.Errorf("networks of %s: %w", a, err)
	}
	return nil
}
