package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/kernel/bpf/asm"
	"github.com/brig-engine/brig/internal/kernel/bpf/bpfmap"
	"github.com/brig-engine/brig/internal/router/rtnl"
)

// Gate is the second layer: five tc programs that know no rule set and drop by default.
//
//	container ──► endpoint ══► sender    ─┐          ┌─► outward ══ uplink ══► host link ══► arrival ─► the host
//	container ◄── endpoint ◄══ neighbour ─┴─ router ─┴────────────── uplink ◄══ host link ◄══ back  ◄── the host
//
//	sender      IPv4 only, without VLAN tag, from the endpoint's own MAC and address
//	neighbour   of what another container sent: only if both are members of one network; to a confined endpoint nothing
//	            from outside
//	outward     from the containers' subnet, and not from a confined endpoint; not to link-local and its like; to the host
//	            only what can be an answer
//	arrival     to the host's address towards the router, or to what the host would route onward: never to one of its
//	            other addresses, whatever they are at this moment
//	back        what was forwarded must carry passMark, which only the host's table sets
//
// What these let through and the tables do not is no more than: an answer-like packet to the host's own end of the
// pair, and connections of the host itself to ports that are not published.
type Gate struct {
	senders *bpfmap.Map
	members *bpfmap.Map // by address; written as package router is told, never read from the tables
	progs   map[string]int
}

// MaxEndpoints bounds the endpoints of one router; the maps are allocated at once (about 3 MiB).
const MaxEndpoints = 8192

// sender values: MAC (6), padding (2), address (4).
const senderSize = 12

// LoadGate loads the programs for these addresses.
func LoadGate(plan Plan) (*Gate, error) {
	m, err := bpfmap.NewHash("brig_senders", 4, senderSize, MaxEndpoints)
	if err != nil {
		return nil, err
	}
	members, err := bpfmap.NewHash("brig_members", 4, memberSize, MaxEndpoints)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	g := &Gate{senders: m, members: members, progs: map[string]int{}}
	for name, prog := range map[string][]asm.Insn{
		"sender": senderProgram(m), "neighbour": neighbourProgram(plan, members),
		"outward": outwardProgram(plan, members),
		"arrival": arrivalProgram(plan), "back": backProgram(),
	} {
		code, err := asm.Assemble(prog)
		fd := -1
		if err == nil {
			fd, err = bpf.LoadProgram(bpf.SchedCLS, "brig_"+name, code)
		}
		if err != nil {
			g.Close()
			return nil, err
		}
		g.progs[name] = fd
	}
	return g, nil
}

// Close drops the descriptors. Interfaces keep the programs that are attached to them.
func (g *Gate) Close() {
	for _, fd := range g.progs {
		unix.Close(fd)
	}
	g.senders.Close()
	g.members.Close()
}

// endpoints are the blocks that the router's sides of all endpoints share: with a block for each, the kernel walks a list
// of all when one more comes.
var endpoints = rtnl.Blocks{Ingress: 1, Egress: 2}

// GuardEndpoint lets the endpoint's sender pass and adds to b what attaches sender and neighbour to the router's side of
// it, which must not be up yet.
func (g *Gate) GuardEndpoint(b *rtnl.Batch, ifindex int, mac net.HardwareAddr, a netip.Addr) error {
	if err := g.Recognise(ifindex, mac, a); err != nil {
		return err
	}
	b.Clsact(ifindex, endpoints)
	b.FirstProgram(rtnl.InBlock, endpoints.Ingress, "brig_sender", g.progs["sender"])
	b.FirstProgram(rtnl.InBlock, endpoints.Egress, "brig_neighbour", g.progs["neighbour"])
	return nil
}

// Renew adds to b what puts this gate's sender and neighbour in the place of those of an earlier router, which guard its
// endpoints. There must be an endpoint.
func (g *Gate) Renew(b *rtnl.Batch) {
	b.Program(rtnl.InBlock, endpoints.Ingress, "brig_sender", g.progs["sender"])
	b.Program(rtnl.InBlock, endpoints.Egress, "brig_neighbour", g.progs["neighbour"])
}

// Recognise lets the sender of an endpoint pass that is guarded already, or will be.
func (g *Gate) Recognise(ifindex int, mac net.HardwareAddr, a netip.Addr) error {
	value := make([]byte, senderSize)
	copy(value, mac)
	addr := a.As4()
	copy(value[8:], addr[:])
	if err := g.senders.Put(senderKey(ifindex), value); err != nil {
		if errors.Is(err, unix.E2BIG) {
			return fmt.Errorf("all %d endpoints of the network are in use", MaxEndpoints)
		}
		return err
	}
	return nil
}

// Forget frees the maps' elements of an endpoint; from then on its sender program drops everything.
func (g *Gate) Forget(ifindex int, a netip.Addr) error {
	var errs error
	for m, key := range map[*bpfmap.Map][]byte{g.senders: senderKey(ifindex), g.members: a.AsSlice()} {
		// What is not there is an endpoint of a warden before this one, whose map is not ours.
		if err := m.Delete(key); !errors.Is(err, unix.ENOENT) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

func senderKey(ifindex int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(ifindex)) }

// GuardUplink adds to b what attaches outward to the router's end of the pair.
func (g *Gate) GuardUplink(b *rtnl.Batch, ifindex int) { g.attach(b, ifindex, "", "outward") }

// GuardHostLink adds to b what attaches arrival and back to the host's end of the pair.
func (g *Gate) GuardHostLink(b *rtnl.Batch, ifindex int) { g.attach(b, ifindex, "arrival", "back") }

func (g *Gate) attach(b *rtnl.Batch, ifindex int, ingress, egress string) {
	b.Clsact(ifindex, rtnl.Blocks{})
	if ingress != "" {
		b.Program(ifindex, netlink.HANDLE_MIN_INGRESS, "brig_"+ingress, g.progs[ingress])
	}
	b.Program(ifindex, netlink.HANDLE_MIN_EGRESS, "brig_"+egress, g.progs[egress])
}
