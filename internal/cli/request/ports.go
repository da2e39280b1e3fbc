package request

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
)

// ports reads -p and --expose. What is published is exposed as well.
func (o *Options) ports() (network.PortSet, network.PortMap, error) {
	exposed, bindings := network.PortSet{}, network.PortMap{}
	for _, s := range o.publish {
		p, err := parsePublish(s)
		if err != nil {
			return nil, nil, fmt.Errorf("--publish %q: %w", s, err)
		}
		p.add(exposed, bindings)
	}
	for _, s := range o.expose {
		r, err := network.ParsePortRange(s)
		if err != nil {
			return nil, nil, fmt.Errorf("--expose %q: %w", s, err)
		}
		for p := range r.All() {
			exposed[p] = struct{}{}
		}
	}
	return exposed, bindings, nil
}

// publish is one -p: [[address:][host]:]container[/protocol], where both ports may be ranges.
type publish struct {
	address   netip.Addr
	hostLow   uint16 // 0: a free port
	hostHigh  uint16
	low, high uint16
	proto     network.IPProtocol
}

func parsePublish(s string) (p publish, err error) {
	rest, proto, ok := strings.Cut(s, "/")
	p.proto = network.TCP
	if ok {
		p.proto = network.IPProtocol(strings.ToLower(proto))
	}
	if p.proto != network.TCP && p.proto != network.UDP && p.proto != network.SCTP {
		return p, fmt.Errorf("the protocols are tcp, udp and sctp, not %q", proto)
	}
	host, inside, both := cutLast(rest)
	if !both {
		host, inside = "", rest
	}
	if p.low, p.high, err = portRange(inside); err != nil {
		return p, err
	}
	if addr, port, ok := cutLast(host); ok {
		host = port
		if p.address, err = netip.ParseAddr(strings.Trim(addr, "[]")); err != nil {
			return p, fmt.Errorf("%q is not an IP address", addr)
		}
	}
	if host == "" || host == "0" {
		return p, nil
	}
	if p.hostLow, p.hostHigh, err = portRange(host); err != nil {
		return p, err
	}
	if n := p.high - p.low; n > 0 && p.hostHigh-p.hostLow != n {
		return p, fmt.Errorf("the ranges %s and %s are not of the same length", host, inside)
	}
	return p, nil
}

// cutLast cuts at the last colon, so that the colons of an IPv6 address stay together.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

func portRange(s string) (low, high uint16, err error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("%q is not a port from 1 to 65535, or a range of them", s)
	}
	return uint16(a), uint16(b), nil
}

func (p publish) add(exposed network.PortSet, bindings network.PortMap) {
	for i := 0; i <= int(p.high-p.low); i++ {
		inside, _ := network.PortFrom(p.low+uint16(i), p.proto)
		host := ""
		switch {
		case p.hostLow == 0:
		case p.low == p.high && p.hostHigh > p.hostLow:
			// One port inside, a range outside: the engine takes a free one of the range.
			host = fmt.Sprintf("%d-%d", p.hostLow, p.hostHigh)
		default:
			host = strconv.Itoa(int(p.hostLow) + i)
		}
		exposed[inside] = struct{}{}
		bindings[inside] = append(bindings[inside], network.PortBinding{HostIP: p.address, HostPort: host})
	}
}
