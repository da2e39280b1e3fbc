package network

import (
	"fmt"
	"net/netip"
	"strings"
)

// HostEntry is one more line of /etc/hosts (--add-host).
type HostEntry struct {
	Name string
	Addr netip.Addr
}

// HostGateway is what --add-host may say instead of an address: the host, as the container would see it.
const HostGateway = "host-gateway"

// ParseHostEntry reads "name:address" or "name=address"; an IPv6 address may stand in brackets. gateway is the address
// that HostGateway stands for.
func ParseHostEntry(s string, gateway netip.Addr) (HostEntry, error) {
	i := strings.IndexAny(s, ":=")
	if i <= 0 {
		return HostEntry{}, fmt.Errorf("extra host %q: need name:address", s)
	}
	e := HostEntry{Name: s[:i]}
	if !hostName(e.Name) {
		return HostEntry{}, fmt.Errorf("extra host %q: %q is no name of a host", s, e.Name)
	}
	rest := s[i+1:]
	if rest == HostGateway {
		if !gateway.IsValid() {
			return HostEntry{}, fmt.Errorf("extra host %q: this container has no gateway", s)
		}
		e.Addr = gateway
		return e, nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]"))
	if err != nil || addr.Zone() != "" {
		return HostEntry{}, fmt.Errorf("extra host %q: %q is no IP address", s, rest)
	}
	e.Addr = addr
	return e, nil
}

// HostName tells whether s can be the name of a host.
func HostName(s string) bool { return hostName(s) }

// hostName admits what can stand in a line of /etc/hosts and means one name: letters, digits, "-", "_", ".", at most
// 253.
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// Hosts gives the content of /etc/hosts. addr is invalid for a container without a network; names that are no names of
// hosts are left out, so that no request can write a line of its own.
func Hosts(addr netip.Addr, hostname, domain string, extra []HostEntry) string {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::\tip6-localnet\n" +
		"ff00::\tip6-mcastprefix\n" +
		"ff02::1\tip6-allnodes\n" +
		"ff02::2\tip6-allrouters\n")
	for _, e := range extra {
		if hostName(e.Name) && e.Addr.IsValid() {
			fmt.Fprintf(&b, "%s\t%s\n", e.Addr, e.Name)
		}
	}
	if !hostName(hostname) {
		return b.String()
	}
	if !addr.IsValid() {
		addr = netip.AddrFrom4([4]byte{127, 0, 1, 1}) // so that a program finds its own name even without a network
	}
	b.WriteString(OwnLine(addr.String(), hostname, domain))
	return b.String()
}

// OwnLine is the line of /etc/hosts for the container itself: its full name, and the first part of that.
func OwnLine(addr, hostname, domain string) string {
	if hostName(domain) {
		hostname += "." + domain
	}
	if short, _, more := strings.Cut(hostname, "."); more && short != "" {
		hostname += " " + short
	}
	return addr + "\t" + hostname + "\n"
}
