package network

import (
	"net/netip"
	"slices"
	"strings"
)

// Resolver is a resolv.conf: name servers, search list, options, each in its order.
type Resolver struct {
	Servers []netip.Addr
	Search  []string
	Options []string
}

const (
	maxResolvConf = 64 << 10 // bytes that are looked at
	maxServers    = 3        // as the C library
	maxWords      = 32       // of search and options, each
)

// ParseResolvConf reads a resolv.conf as the C library does: unknown and malformed lines count for nothing, the last
// search (or domain) line wins, options add up. Without any server the local host is the server.
func ParseResolvConf(data []byte) Resolver {
	var r Resolver
	for line := range strings.Lines(string(data[:min(len(data), maxResolvConf)])) {
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			a, err := netip.ParseAddr(words[1])
			if err == nil && len(r.Servers) < maxServers && (a.Zone() == "" || hostName(a.Zone())) {
				r.Servers = append(r.Servers, a.Unmap())
			}
		case "domain":
			r.Search = plain(words[1:2])
		case "search":
			r.Search = plain(words[1:])
		case "options":
			r.Options = plain(append(r.Options, words[1:]...))
		}
	}
	if len(r.Servers) == 0 {
		r.Servers = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return r
}

// plain keeps words of visible ASCII, and not more than maxWords of them.
func plain(words []string) []string {
	var out []string
	for _, w := range words {
		visible := !strings.ContainsFunc(w, func(c rune) bool { return c <= ' ' || c > '~' })
		if visible && w != "" && len(w) <= 256 && len(out) < maxWords {
			out = append(out, w)
		}
	}
	return out
}

// NeedsForwarder tells whether a container could not reach one of the servers: loopback stubs (systemd-resolved's
// 127.0.0.53), link-local ones (a cloud's), IPv6, and the host itself, whose addresses are own.
func (r Resolver) NeedsForwarder(own []netip.Addr) bool {
	return slices.ContainsFunc(r.Servers, func(a netip.Addr) bool {
		return !a.Is4() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || slices.Contains(own, a)
	})
}

// Override holds what a request says instead of the host's settings; nil fields say nothing.
type Override struct {
	Servers []netip.Addr // --dns
	Search  []string     // --dns-search; "." alone is an empty list
	Options []string     // --dns-option
}

// ForContainer gives the content of the container's /etc/resolv.conf. forwarder is the gateway's address where Brig's
// forwarder answers, or invalid.
func (r Resolver) ForContainer(o Override, forwarder netip.Addr) string {
	servers, search, options := r.Servers, r.Search, r.Options
	if forwarder.IsValid() {
		servers = []netip.Addr{forwarder}
		options = slices.DeleteFunc(slices.Clone(options), stubOption)
	}
	if o.Servers != nil {
		servers = o.Servers
	}
	if o.Search != nil {
		search = plain(o.Search)
	}
	if slices.Equal(search, []string{"."}) {
		search = nil
	}
	if o.Options != nil {
		options = plain(o.Options)
	}
	var b strings.Builder
	for _, s := range servers {
		b.WriteString("nameserver " + s.String() + "\n")
	}
	if len(search) > 0 {
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	if len(options) > 0 {
		b.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return b.String()
}

// stubOption names options that promise something about the path to the host's own stub: the forwarder passes on what
// it is told, and a container must not take that for a verified answer.
func stubOption(o string) bool { return o == "trust-ad" }
