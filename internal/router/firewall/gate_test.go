package firewall

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf/trial"
	"github.com/brig-engine/brig/internal/wire"
)

var testPlan = Plan{
	Instance: "brigt", HostLink: "brigt", Subnet: netip.MustParsePrefix("172.30.0.0/16"),
	Gateway: netip.MustParseAddr("172.30.0.1"), Host: netip.MustParseAddr("172.30.255.254"),
}

const own, ownMAC = "172.30.0.2", "02:42:ac:1e:00:02"

// packet describes one Ethernet frame; the zero value of a field is the honest one.
type packet struct {
	mac, src, dst string
	etherType     uint16
	proto         byte
	options       int    // words of IPv4 options
	fragment      uint16 // offset in units of eight bytes
	payload       []byte
}

func (p packet) frame() []byte {
	def := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	def(&p.mac, ownMAC)
	def(&p.src, own)
	def(&p.dst, "9.9.9.9")
	if p.etherType == 0 {
		p.etherType = unix.ETH_P_IP
	}
	if p.proto == 0 {
		p.proto = unix.IPPROTO_UDP
	}
	mac, err := net.ParseMAC(p.mac)
	if err != nil {
		panic(err)
	}
	b := append(make([]byte, 6), mac...)
	b = binary.BigEndian.AppendUint16(b, p.etherType)
	ip := make([]byte, 20+4*p.options)
	ip[0], ip[8], ip[9] = 0x40|byte(len(ip)/4), 64, p.proto
	binary.BigEndian.PutUint16(ip[6:], p.fragment)
	copy(ip[12:], netip.MustParseAddr(p.src).AsSlice())
	copy(ip[16:], netip.MustParseAddr(p.dst).AsSlice())
	return append(append(append(b, ip...), p.payload...), make([]byte, 20)...)
}

// full fills every place of an endpoint.
func full(first uint32) (numbers []uint32) {
	for i := range uint32(wire.MaxNetworks) {
		numbers = append(numbers, first+i)
	}
	return numbers
}

func tcpFlags(f byte) []byte { b := make([]byte, 20); b[13] = f; return b }
func udpTo(port uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{1, 1}, port)
}

func TestSecondLayerPrograms(t *testing.T) {
	g, err := LoadGate(testPlan)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skip("missing: bpf(2)")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	mac, _ := net.ParseMAC(ownMAC)
	const loopback = 1 // the interface that the kernel's test run pretends
	value := append(append([]byte{}, mac...), 0, 0)
	if err := g.senders.Put(senderKey(loopback), append(value, netip.MustParseAddr(own).AsSlice()...)); err != nil {
		t.Fatal(err)
	}
	friend, second := wire.Membership{Networks: []uint32{9, 7}}, wire.Membership{Networks: []uint32{5, 9}, Confined: true}
	other := wire.Membership{Networks: []uint32{6, 5}}
	for a, s := range map[string]wire.Membership{"172.30.0.10": friend, "172.30.0.11": second, "172.30.0.12": other,
		"172.30.0.13": {Confined: true}, "172.30.0.14": {Networks: full(100)}, "172.30.0.15": {Networks: full(115)}} {
		if err := g.Admit(netip.MustParseAddr(a), s); err != nil {
			t.Fatal(err)
		}
	}
	host := testPlan.Host.String()
	const syn, ack, synAck, rst = 0x02, 0x10, 0x12, 0x04
	for _, tc := range []struct {
		prog, name string
		p          packet
		pass       bool
	}{
		{"sender", "own MAC and address", packet{}, true},
		{"sender", "neighbour's address", packet{src: "172.30.0.3"}, false},
		{"sender", "stranger's address", packet{src: "8.8.8.8"}, false},
		{"sender", "neighbour's MAC", packet{mac: "02:42:ac:1e:00:03"}, false},
		{"sender", "MAC with another beginning", packet{mac: "03:42:ac:1e:00:02"}, false},
		{"sender", "ARP", packet{etherType: unix.ETH_P_ARP}, false},
		{"sender", "IPv6", packet{etherType: unix.ETH_P_IPV6}, false},
		{"sender", "VLAN tag", packet{etherType: unix.ETH_P_8021Q}, false},
		{"sender", "LLDP", packet{etherType: 0x88cc}, false},
		{"neighbour", "from outside", packet{src: "9.9.9.9", dst: own}, true},
		{"neighbour", "from the gateway", packet{src: "172.30.0.1", dst: own}, true},
		{"neighbour", "from the host", packet{src: host, dst: own}, true},
		{"neighbour", "from a neighbour", packet{src: "172.30.0.3", dst: own}, false},
		{"neighbour", "from a neighbour far away", packet{src: "172.30.200.3", dst: own}, false},
		{"neighbour", "from the next network", packet{src: "172.31.0.3", dst: own}, true},
		{"neighbour", "one network of two", packet{src: "172.30.0.10", dst: "172.30.0.11"}, true},
		{"neighbour", "one network of two, back", packet{src: "172.30.0.11", dst: "172.30.0.10"}, true},
		{"neighbour", "the other network of two", packet{src: "172.30.0.11", dst: "172.30.0.12"}, true},
		{"neighbour", "no network together", packet{src: "172.30.0.10", dst: "172.30.0.12"}, false},
		{"neighbour", "of a member to one in no network", packet{src: "172.30.0.10", dst: own}, false},
		{"neighbour", "of one in no network to a member", packet{src: own, dst: "172.30.0.10"}, false},
		{"neighbour", "two confined in no network", packet{src: "172.30.0.13", dst: "172.30.0.13"}, false},
		{"neighbour", "the last place meets the first", packet{src: "172.30.0.14", dst: "172.30.0.15"}, true},
		{"neighbour", "the first place meets the last", packet{src: "172.30.0.15", dst: "172.30.0.14"}, true},
		{"neighbour", "from outside to a member", packet{src: "9.9.9.9", dst: "172.30.0.10"}, true},
		{"neighbour", "from outside to a confined one", packet{src: "9.9.9.9", dst: "172.30.0.11"}, false},
		{"neighbour", "from the host to a confined one", packet{src: host, dst: "172.30.0.13"}, false},
		{"neighbour", "from the gateway to a confined one", packet{src: "172.30.0.1", dst: "172.30.0.13"}, true},
		{"outward", "outside", packet{}, true},
		{"outward", "of a member", packet{src: "172.30.0.10"}, true},
		{"outward", "of a confined member", packet{src: "172.30.0.11"}, false},
		{"outward", "of a confined one to the host", packet{src: "172.30.0.13", dst: host, proto: 6, payload: tcpFlags(ack)}, false},
		{"outward", "high outside address", packet{dst: "203.0.113.9"}, true},
		{"outward", "stranger's address", packet{src: "10.0.0.1"}, false},
		{"outward", "high stranger's address", packet{src: "203.0.113.9"}, false},
		{"outward", "neighbour", packet{dst: "172.30.0.3"}, false},
		{"outward", "router", packet{dst: "172.30.255.253"}, false},
		{"outward", "metadata service", packet{dst: "169.254.169.254"}, false},
		{"outward", "loopback", packet{dst: "127.0.0.1"}, false},
		{"outward", "multicast", packet{dst: "224.0.0.251"}, false},
		{"outward", "broadcast", packet{dst: "255.255.255.255"}, false},
		{"outward", "this network", packet{dst: "0.0.0.0"}, false},
		{"outward", "host: SYN", packet{dst: host, proto: 6, payload: tcpFlags(syn)}, false},
		{"outward", "host: SYN with options", packet{dst: host, proto: 6, options: 5, payload: tcpFlags(syn)}, false},
		{"outward", "host: SYN and ACK", packet{dst: host, proto: 6, payload: tcpFlags(synAck)}, true},
		{"outward", "host: ACK", packet{dst: host, proto: 6, options: 2, payload: tcpFlags(ack)}, true},
		{"outward", "host: RST", packet{dst: host, proto: 6, payload: tcpFlags(rst)}, true},
		{"outward", "host: SYN in a first fragment", packet{dst: host, proto: 6, fragment: 0x2000,
			payload: tcpFlags(syn)}, false},
		{"outward", "host: later fragment", packet{dst: host, proto: 6, fragment: 3}, true},
		{"outward", "host: UDP to a service", packet{dst: host, payload: udpTo(53)}, false},
		{"outward", "host: UDP below the ephemeral ports", packet{dst: host, payload: udpTo(32767)}, false},
		{"outward", "host: UDP to an ephemeral port", packet{dst: host, payload: udpTo(40000)}, true},
		{"outward", "host: ping", packet{dst: host, proto: 1, payload: []byte{8}}, false},
		{"outward", "host: redirect", packet{dst: host, proto: 1, payload: []byte{5}}, false},
		{"outward", "host: unreachable", packet{dst: host, proto: 1, payload: []byte{3}}, true},
		{"outward", "host: time exceeded", packet{dst: host, proto: 1, payload: []byte{11}}, true},
		{"outward", "host: SCTP", packet{dst: host, proto: 132}, false},
		{"arrival", "forged sender", packet{src: "10.0.0.1"}, false},
		{"arrival", "loopback", packet{dst: "127.0.0.1"}, false},
		{"arrival", "host's end", packet{dst: host}, true},
		{"back", "made by the host", packet{src: host, dst: own}, true},
	} {
		got, err := trial.Run(g.progs[tc.prog], tc.p.frame())
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]uint32{true: tcOK, false: tcShot}[tc.pass]; got != want {
			t.Errorf("%s, %s: verdict %d, want %d", tc.prog, tc.name, got, want)
		}
	}
	if err := g.Forget(loopback, netip.MustParseAddr(own)); err != nil {
		t.Fatal(err)
	}
	if got, err := trial.Run(g.progs["sender"], packet{}.frame()); err != nil || got != tcShot {
		t.Errorf("forgotten endpoint: verdict %d, %v", got, err)
	}
	if err := g.Forget(loopback, netip.MustParseAddr(own)); err != nil {
		t.Errorf("forgetting twice: %v", err)
	}
}
