package request

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
)

// attachment is one --network, with the options of the endpoint in it.
type attachment struct {
	name            string
	aliases         []string
	ip, ip6, mac    string
	linkLocal       []string
	driverOpts      map[string]string
	gatewayPriority int
}

// endpoints reads --network and what belongs to it. The first network is the container's mode; --ip and the others that
// stand beside belong to it.
func (o *Options) endpoints() (endpoints map[string]*network.EndpointSettings, mode string, err error) {
	all, err := o.networksAsked()
	if err != nil {
		return nil, "", err
	}
	mode = all[0].name
	if len(all) == 1 && all[0].bare() {
		return nil, mode, nil
	}
	endpoints = map[string]*network.EndpointSettings{}
	for _, a := range all {
		if endpoints[a.name] != nil {
			return nil, "", fmt.Errorf("--network %q: is given twice", a.name)
		}
		if endpoints[a.name], err = a.settings(); err != nil {
			return nil, "", err
		}
	}
	return endpoints, mode, nil
}

func (o *Options) networksAsked() ([]*attachment, error) {
	var all []*attachment
	for _, s := range o.networks {
		a, err := parseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("--network %q: %w", s, err)
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		all = []*attachment{{name: "default"}}
	}
	first := all[0]
	for _, f := range []struct {
		option, value string
		here          *string
	}{{"--ip", o.ip, &first.ip}, {"--ip6", o.ip6, &first.ip6}, {"--mac-address", o.mac, &first.mac}} {
		if f.value != "" && *f.here != "" {
			return nil, fmt.Errorf("%s %q: --network says %s", f.option, f.value, *f.here)
		}
		if f.value != "" {
			*f.here = f.value
		}
	}
	first.aliases = append(first.aliases, o.aliases...)
	first.linkLocal = append(first.linkLocal, o.linkLocal...)
	return all, nil
}

// parseNetwork reads a name, or name=NAME,alias=…,ip=….
func parseNetwork(s string) (*attachment, error) {
	if s == "" {
		s = "default"
	}
	if !strings.Contains(s, "=") {
		return &attachment{name: s}, nil
	}
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return nil, errors.New("comma separated key=value is needed")
	}
	a := &attachment{}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		if value == "" {
			return nil, fmt.Errorf("%q needs a value", key)
		}
		if err := a.set(strings.ToLower(key), value); err != nil {
			return nil, err
		}
	}
	if a.name == "" {
		return nil, errors.New("the name is missing")
	}
	return a, nil
}

func (a *attachment) set(key, value string) (err error) {
	switch key {
	case "name":
		a.name = value
	case "alias":
		a.aliases = append(a.aliases, value)
	case "ip":
		a.ip = value
	case "ip6":
		a.ip6 = value
	case "mac-address":
		a.mac = value
	case "link-local-ip":
		a.linkLocal = append(a.linkLocal, value)
	case "driver-opt":
		k, v, ok := strings.Cut(value, "=")
		if !ok || k == "" {
			return errors.New("driver-opt is key=value")
		}
		a.driverOpts = with(a.driverOpts, strings.ToLower(k), v)
	case "gw-priority":
		if a.gatewayPriority, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("gw-priority is a number, not %q", value)
		}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

// bare tells whether nothing but the name was said.
func (a *attachment) bare() bool {
	return len(a.aliases)+len(a.linkLocal)+len(a.driverOpts) == 0 && a.gatewayPriority == 0 && a.ip+a.ip6+a.mac == ""
}

func (a *attachment) settings() (*network.EndpointSettings, error) {
	e := &network.EndpointSettings{Aliases: a.aliases, DriverOpts: a.driverOpts, GwPriority: a.gatewayPriority}
	var ipam network.EndpointIPAMConfig
	var err error
	if a.ip != "" {
		if ipam.IPv4Address, err = netip.ParseAddr(a.ip); err != nil || !ipam.IPv4Address.Is4() {
			return nil, fmt.Errorf("--ip %q: not an IPv4 address", a.ip)
		}
	}
	if a.ip6 != "" {
		if ipam.IPv6Address, err = netip.ParseAddr(a.ip6); err != nil || !ipam.IPv6Address.Is6() {
			return nil, fmt.Errorf("--ip6 %q: not an IPv6 address", a.ip6)
		}
	}
	for _, s := range a.linkLocal {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("--link-local-ip %q: not an IP address", s)
		}
		ipam.LinkLocalIPs = append(ipam.LinkLocalIPs, addr)
	}
	if a.ip != "" || a.ip6 != "" || len(a.linkLocal) > 0 {
		e.IPAMConfig = &ipam
	}
	if a.mac != "" {
		mac, err := net.ParseMAC(a.mac)
		if err != nil {
			return nil, fmt.Errorf("--mac-address %q: not a hardware address", a.mac)
		}
		e.MacAddress = network.HardwareAddr(mac)
	}
	return e, nil
}
