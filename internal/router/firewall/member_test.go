package firewall

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

func port(hostIP string, hostPort, containerPort uint16) Port {
	return Port{Proto: unix.IPPROTO_TCP, HostIP: netip.MustParseAddr(hostIP), HostPort: hostPort,
		ContainerPort: containerPort}
}

func has(elements []nftables.SetElement, key, val []byte) bool {
	for _, e := range elements {
		if bytes.Equal(e.Key, key) && bytes.Equal(e.Val, val) {
			return true
		}
	}
	return false
}

func TestElementsOfAMember(t *testing.T) {
	m := []Member{{Ifindex: 5, Addr: netip.MustParseAddr("172.30.0.2"), Ports: []Port{
		port("0.0.0.0", 8080, 80), port("::", 8080, 80), port("10.0.0.1", 8081, 80), port("127.0.0.1", 8082, 81),
	}}}
	wide, narrow := translations(m)
	target := []byte{172, 30, 0, 2, 0, 80, 0, 0}
	if len(wide) != 1 || !has(wide, []byte{6, 0, 0, 0, 0x1f, 0x90, 0, 0}, target) {
		t.Errorf("wide: %v", wide)
	}
	if len(narrow) != 1 || !has(narrow, []byte{10, 0, 0, 1, 6, 0, 0, 0, 0x1f, 0x91, 0, 0}, target) {
		t.Errorf("narrow: %v; loopback and IPv6 have no translation", narrow)
	}
	open := openElements(m)
	if len(open) != 2 || !has(open, []byte{172, 30, 0, 2, 6, 0, 0, 0, 0, 80, 0, 0}, nil) ||
		!has(open, []byte{172, 30, 0, 2, 6, 0, 0, 0, 0, 81, 0, 0}, nil) {
		t.Errorf("open: %v", open)
	}
}
