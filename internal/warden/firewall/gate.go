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
)

// Gate is the second layer: five tc programs that know no rule set and drop by default.
//
//	container ──► endpoint ══► sender    ─┐          ┌─► outward ══ uplink ══► host link ══► arrival ─► the host
//	container ◄── endpoint ◄══ neighbour ─┴─ router ─┴────────────── uplink ◄══ host link ◄══ back  ◄── the host
//
//	sender      IPv4 only, without VLAN tag, from the endpoint's own MAC and address
//	neighbour   nothing that another container sent
//	outward     from the containers' subnet; not to link-local and its like; to the host only what can be an answer
//	arrival     to the host's address towards the router, or to what the host would route onward: never to one of its
//	            other addresses, whatever they are at this moment
//	back        what was forwarded must carry passMark, which only the host's table sets
//
// What these let through and the tables do not is no more than: an answer-like packet to the host's own end of the
// pair, and connections of the host itself to ports that are not published.
type Gate struct {
	senders *bpf.Map
	progs   map[string]int
}

// MaxEndpoints bounds the endpoints of one router; the map is allocated at once (about 1 MiB).
const MaxEndpoints = 8192

// sender values: MAC (6), padding (2), address (4).
const senderSize = 12

// LoadGate loads the programs for these addresses.
func LoadGate(plan Plan) (*Gate, error) {
	m, err := bpf.NewHash("brig_senders", 4, senderSize, MaxEndpoints)
	if err != nil {
		return nil, err
	}
	g := &Gate{senders: m, progs: map[string]int{}}
	for name, prog := range map[string][]asm.Insn{
		"sender": senderProgram(m), "neighbour": neighbourProgram(plan), "outward": outwardProgram(plan),
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
}

// GuardEndpoint attaches sender and neighbour to the router's side of an endpoint, which must not be up yet.
func (g *Gate) GuardEndpoint(h *netlink.Handle, ifindex int, mac net.HardwareAddr, a netip.Addr) error {
	value := make([]byte, senderSize)
	copy(value, mac)
	b := a.As4()
	copy(value[8:], b[:])
	if err := g.senders.Put(senderKey(ifindex), value); err != nil {
		if errors.Is(err, unix.E2BIG) {
			return fmt.Errorf("all %d endpoints of the network are in use", MaxEndpoints)
		}
		return err
	}
	return g.attach(h, ifindex, "sender", "neighbour")
}

// Forget frees the map's element of an endpoint; from then on its sender program drops everything.
func (g *Gate) Forget(ifindex int) error {
	if err := g.senders.Delete(senderKey(ifindex)); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil // an endpoint of a warden before this one: its map is not ours
}

func senderKey(ifindex int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(ifindex)) }

// GuardUplink attaches outward to the router's end of the pair.
func (g *Gate) GuardUplink(h *netlink.Handle, ifindex int) error {
	return g.attach(h, ifindex, "", "outward")
}

// GuardHostLink attaches arrival and back to the host's end of the pair.
func (g *Gate) GuardHostLink(h *netlink.Handle, ifindex int) error {
	return g.attach(h, ifindex, "arrival", "back")
}

func (g *Gate) attach(h *netlink.Handle, ifindex int, ingress, egress string) error {
	q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := h.QdiscAdd(q); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact to interface %d: %w", ifindex, err)
	}
	for _, f := range []struct {
		name   string
		parent uint32
	}{{ingress, netlink.HANDLE_MIN_INGRESS}, {egress, netlink.HANDLE_MIN_EGRESS}} {
		if f.name == "" {
			continue
		}
		err := h.FilterReplace(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: ifindex, Parent: f.parent, Handle: 1, Priority: 1,
				Protocol: unix.ETH_P_ALL},
			Fd: g.progs[f.name], Name: "brig_" + f.name, DirectAction: true,
		})
		if err != nil {
			return fmt.Errorf("attach %s to interface %d: %w", f.name, ifindex, err)
		}
	}
	return nil
}
