package main

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// probeForge sends one honest datagram and then forged copies of it, as whole frames. Each carries a mark, so that the
// drill, which listens at the destination, can tell which of them arrived: only if the honest one did does the absence
// of the others mean anything.
//
// args: INTERFACE ADDRESS PORT HONEST-MARK and then MARK=SOURCE-IP/SOURCE-MAC..., where either part may be "own".
func probeForge(args []string) verdict {
	if len(args) < 5 {
		fail("usage: forge INTERFACE ADDRESS PORT HONEST-MARK MARK=IP/MAC...")
	}
	index, _, _, err := interfaceOf(args[0])
	if err != nil {
		return verdict{verdict: couldNotTry, detail: args[0] + ": " + errName(err)}
	}
	fd, err := packetSocket(index)
	if err != nil {
		return packetRefused(err)
	}
	defer unix.Close(fd)
	timeout(fd, 50)
	to, ok := parseIPv4(args[1])
	if !ok {
		fail("forge: not an IPv4 address: " + args[1])
	}
	template := captureOwn(fd, to, uint16(number(args, 2)), args[3])
	if template == nil {
		return verdict{verdict: couldNotTry, detail: "no route to " + args[1]}
	}
	sent := 0
	for _, spec := range args[4:] {
		mark, source, _ := strings.Cut(spec, "=")
		ip, mac, _ := strings.Cut(source, "/")
		frame := forged(template, mark, ip, mac)
		for range 3 {
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}); err != nil {
				return verdict{verdict: couldNotTry, detail: "send: " + errName(err)}
			}
		}
		sent++
	}
	return verdict{verdict: lookOutside, detail: strconv.Itoa(sent) + " forged senders"}
}

const (
	etherHeader = 14
	ipHeader    = 20
	udpHeader   = 8
)

// captureOwn sends an ordinary datagram and returns the frame that the kernel made of it (headers only): the shape
// that this link wants, with the right next hop, whether or not the link has ARP. nil: none came within a second.
func captureOwn(fd int, to [4]byte, port uint16, mark string) []byte {
	udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(udp)
	var frame [2048]byte
	for range 10 {
		if unix.Sendto(udp, []byte(mark), 0, &unix.SockaddrInet4{Port: int(port), Addr: to}) != nil {
			return nil
		}
		for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
			n, _, err := unix.Recvfrom(fd, frame[:], 0)
			if err != nil || n < etherHeader+ipHeader+udpHeader {
				continue
			}
			ip := frame[etherHeader:]
			if ip[0] == 0x45 && ip[9] == unix.IPPROTO_UDP && [4]byte(ip[16:20]) == to &&
				binary.BigEndian.Uint16(ip[22:]) == port {
				return append([]byte(nil), frame[:etherHeader+ipHeader+udpHeader]...)
			}
		}
	}
	return nil
}

// forged is the template with another sender and another payload. The UDP checksum is 0, "none", which IPv4 allows.
func forged(template []byte, mark, ip, mac string) []byte {
	frame := append(append([]byte(nil), template...), mark...)
	if m, ok := parseMAC(mac); ok {
		copy(frame[6:12], m[:])
	}
	head := frame[etherHeader : etherHeader+ipHeader]
	if a, ok := parseIPv4(ip); ok {
		copy(head[12:16], a[:])
	}
	binary.BigEndian.PutUint16(head[2:], uint16(ipHeader+udpHeader+len(mark)))
	binary.BigEndian.PutUint16(head[10:], 0)
	binary.BigEndian.PutUint16(head[10:], checksum(head))
	udp := frame[etherHeader+ipHeader:]
	binary.BigEndian.PutUint16(udp[4:], uint16(udpHeader+len(mark)))
	binary.BigEndian.PutUint16(udp[6:], 0)
	return frame
}

// checksum is the internet checksum of an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// probeARPClaim tells a victim, and everybody, that an address is at a hardware address. The drill then looks into the
// victim's table. args: INTERFACE VICTIM-IP VICTIM-MAC CLAIMED-IP CLAIMED-MAC.
func probeARPClaim(args []string) verdict {
	if len(args) != 5 {
		fail("usage: arp-claim INTERFACE VICTIM-IP VICTIM-MAC CLAIMED-IP CLAIMED-MAC")
	}
	index, own, _, err := interfaceOf(args[0])
	if err != nil {
		return verdict{verdict: couldNotTry, detail: args[0] + ": " + errName(err)}
	}
	victim, ok1 := parseIPv4(args[1])
	victimMAC, ok2 := parseMAC(args[2])
	claimed, ok3 := parseIPv4(args[3])
	claimedMAC, ok4 := parseMAC(args[4])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		fail("arp-claim: bad address")
	}
	fd, err := packetSocket(index)
	if err != nil {
		return packetRefused(err)
	}
	defer unix.Close(fd)
	everybody := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frames := [][]byte{
		arp(own, victimMAC, 2, claimedMAC, claimed, victimMAC, victim),
		arp(own, everybody, 2, claimedMAC, claimed, everybody, claimed),
		arp(own, everybody, 1, claimedMAC, claimed, [6]byte{}, victim),
	}
	for _, frame := range frames {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}); err != nil {
			return verdict{verdict: couldNotTry, detail: "send: " + errName(err)}
		}
	}
	return verdict{verdict: lookOutside, detail: "claimed " + args[3]}
}

// arp is an ARP frame for IPv4 over Ethernet; op 1 asks, op 2 answers.
func arp(from, to [6]byte, op byte, senderMAC [6]byte, sender [4]byte, targetMAC [6]byte, target [4]byte) []byte {
	b := append(append(append([]byte(nil), to[:]...), from[:]...), 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, op)
	b = append(append(b, senderMAC[:]...), sender[:]...)
	b = append(append(b, targetMAC[:]...), target[:]...)
	return append(b, make([]byte, 18)...) // up to the least length of a frame
}
