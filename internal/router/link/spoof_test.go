package link

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// datagram is an IPv4 packet with a UDP datagram (without checksum, which IPv4 allows).
func datagram(from, to netip.Addr, port uint16) []byte {
	b := make([]byte, 28, 32)
	b[0], b[3], b[8], b[9] = 0x45, 32, 64, unix.IPPROTO_UDP
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(b[20:], 4000)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], 12)
	return append(b, "evil"...)
}

// inject sends a frame out of the namespace's eth0 as a packet socket does.
func inject(t *testing.T, ns int, src net.HardwareAddr, etherType uint16, payload []byte) {
	t.Helper()
	must(t, inside(ns, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		frame := append(append(routerMAC(), src...), byte(etherType>>8), byte(etherType))
		return unix.Sendto(fd, append(frame, payload...), 0, &unix.SockaddrLinklayer{Ifindex: eth.Index})
	}))
}

// ear counts what arrives at a UDP port.
func ear(t *testing.T, ns int, addr string) func() int {
	t.Helper()
	var c net.PacketConn
	must(t, inside(ns, func() (err error) { c, err = net.ListenPacket("udp", addr); return err }))
	t.Cleanup(func() { c.Close() })
	return func() (n int) {
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		for {
			if _, _, err := c.ReadFrom(make([]byte, 100)); err != nil {
				return n
			}
			n++
		}
	}
}

func TestForgedSendersAreDropped(t *testing.T) {
	for _, layer := range []string{"both layers", "second layer alone"} {
		t.Run(layer, func(t *testing.T) {
			w := newNetwork(t)
			a, b := w.container(), w.container()
			heard := ear(t, w.outside, outsideIP+":7")
			if layer != "both layers" {
				flush(t, w.r.NetnsFD())
			}
			to, own := netip.MustParseAddr(outsideIP), macOf(a.ep.Addr)
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(a.ep.Addr, to, 7))
			if n := heard(); n != 1 {
				t.Fatalf("%d honest packets arrived, want 1: the test could not fail", n)
			}
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(b.ep.Addr, to, 7))
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(w.r.HostAddress(), to, 7))
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(w.r.Gateway(), to, 7))
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(netip.MustParseAddr("8.8.8.8"), to, 7))
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(to, to, 7))
			if n := heard(); n != 0 {
				t.Errorf("%d packets with a forged address arrived", n)
			}
			if layer == "both layers" {
				return // MAC and frame type are the programs' matter
			}
			inject(t, a.ns, macOf(b.ep.Addr), unix.ETH_P_IP, datagram(a.ep.Addr, to, 7))
			tagged := append([]byte{0, 5, 8, 0}, datagram(a.ep.Addr, to, 7)...)
			inject(t, a.ns, own, unix.ETH_P_8021Q, tagged)
			if n := heard(); n != 0 {
				t.Errorf("%d packets with a forged MAC or a VLAN tag arrived", n)
			}
		})
	}
}

// CVE-2020-8558 and its like: a container that forges its frames reaches neither the host's loopback nor, past its own
// routes, a neighbour, a service of the host or the metadata service.
func TestForgedDestinationsAreDropped(t *testing.T) {
	for _, layer := range []string{"both layers", "second layer alone"} {
		t.Run(layer, func(t *testing.T) {
			w := newNetwork(t)
			a, b := w.container(), w.container(udp("0.0.0.0", 7, 7))
			ears := map[string]func() int{
				"host's loopback": ear(t, w.host, "127.0.0.1:9"), "host": ear(t, w.host, hostIP+":9"),
				"host's end": ear(t, w.host, w.r.HostAddress().String()+":9"), "neighbour": ear(t, b.ns, b.ep.Addr.String()+":7"),
			}
			if layer != "both layers" {
				flush(t, w.r.NetnsFD())
				flush(t, w.host)
			}
			own := macOf(a.ep.Addr)
			for _, to := range []string{"127.0.0.1", hostIP, w.r.HostAddress().String()} {
				inject(t, a.ns, own, unix.ETH_P_IP, datagram(a.ep.Addr, netip.MustParseAddr(to), 9))
			}
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(a.ep.Addr, b.ep.Addr, 7))
			inject(t, a.ns, own, unix.ETH_P_IP, datagram(w.r.Gateway(), b.ep.Addr, 7))
			for what, heard := range ears {
				if n := heard(); n != 0 {
					t.Errorf("%s: %d datagrams arrived", what, n)
				}
			}
			if _, err := ask(w.host, "udp", b.at(7)); err == nil {
				t.Error("an ear answered")
			}
			if n := ears["neighbour"](); n != 1 {
				t.Errorf("the ear heard %d of the host's datagrams, want 1: the test could not fail", n)
			}
		})
	}
}
