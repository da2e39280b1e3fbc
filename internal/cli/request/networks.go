package request

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/spf13/pflag"
)

// Endpoint holds what is said about a container's place in one network.
type Endpoint struct {
	aliases, links, local, driverOpts words
	ip, ip6, mac                      string
	priority                          int
}

// Bind declares the options of `network connect`.
func (e *Endpoint) Bind(fs *pflag.FlagSet) {
	fs.Var(&e.aliases, "alias", "Another name of the container in the network")
	fs.StringVar(&e.ip, "ip", "", "IPv4 address in the network")
	fs.StringVar(&e.ip6, "ip6", "", "IPv6 address in the network")
	fs.Var(&e.links, "link", "Link to another container (name[:alias])")
	fs.Var(&e.local, "link-local-ip", "Link-local address")
	fs.Var(&e.driverOpts, "driver-opt", "Option of the driver (key=value)")
	fs.IntVar(&e.priority, "gw-priority", 0, "Whether this network has the gateway")
}

// Settings gives what was said to the engine.
func (e *Endpoint) Settings() (*network.EndpointSettings, error) {
	s := &network.EndpointSettings{Aliases: e.aliases, Links: e.links, GwPriority: e.priority}
	var ipam network.EndpointIPAMConfig
	var err error
	if e.ip != "" {
		if ipam.IPv4Address, err = netip.ParseAddr(e.ip); err != nil || !ipam.IPv4Address.Is4() {
			return nil, fmt.Errorf("--ip %q: not an IPv4 address", e.ip)
		}
		s.IPAMConfig = &ipam
	}
	if e.ip6 != "" {
		if ipam.IPv6Address, err = netip.ParseAddr(e.ip6); err != nil || !ipam.IPv6Address.Is6() {
			return nil, fmt.Errorf("--ip6 %q: not an IPv6 address", e.ip6)
		}
		s.IPAMConfig = &ipam
	}
	for _, l := range e.local {
		a, err := netip.ParseAddr(l)
		if err != nil {
			return nil, fmt.Errorf("--link-local-ip %q: not an IP address", l)
		}
		ipam.LinkLocalIPs = append(ipam.LinkLocalIPs, a)
		s.IPAMConfig = &ipam
	}
	if e.mac != "" {
		mac, err := net.ParseMAC(e.mac)
		if err != nil {
			return nil, fmt.Errorf("--mac-address %q: not a hardware address", e.mac)
		}
		s.MacAddress = network.HardwareAddr(mac)
	}
	if len(e.driverOpts) > 0 {
		s.DriverOpts, err = keyValues("--driver-opt", e.driverOpts)
	}
	return s, err
}

// parseNetwork reads the value of --network: a name, or key=value pairs with commas between them.
func parseNetwork(value string) (name string, e Endpoint, err error) {
	if !strings.Contains(value, "=") {
		return value, e, nil
	}
	for field := range strings.SplitSeq(value, ",") {
		key, v, ok := strings.Cut(field, "=")
		if !ok || v == "" {
			return "", e, fmt.Errorf("--network %q: %q needs a value", value, key)
		}
		switch strings.ToLower(key) {
		case "name":
			name = v
		case "alias":
			e.aliases = append(e.aliases, v)
		case "ip":
			e.ip = v
		case "ip6":
			e.ip6 = v
		case "mac-address":
			e.mac = v
		case "link-local-ip":
			e.local = append(e.local, v)
		case "driver-opt":
			e.driverOpts = append(e.driverOpts, v)
		case "gw-priority":
			if e.priority, err = strconv.Atoi(v); err != nil {
				return "", e, fmt.Errorf("--network %q: gw-priority is a number", value)
			}
		default:
			return "", e, fmt.Errorf("--network %q: unknown key %q; the keys are name, alias, ip, ip6, mac-address, "+
				"link-local-ip, driver-opt and gw-priority", value, key)
		}
	}
	if name == "" {
		return "", e, fmt.Errorf("--network %q: name=NETWORK is missing", value)
	}
	return name, e, nil
}

// endpoints gives the first network's name, and what was said about each. The options beside --network speak of the
// first, as Docker's do.
func (o *Options) endpoints() (mode string, ends map[string]*network.EndpointSettings, err error) {
	networks := o.networks
	if len(networks) == 0 {
		networks = []string{"default"}
	}
	ends = map[string]*network.EndpointSettings{}
	for i, value := range networks {
		name, e, err := parseNetwork(value)
		if err != nil {
			return "", nil, err
		}
		if i == 0 {
			if mode, err = o.first(name, &e); err != nil {
				return "", nil, err
			}
		}
		if _, again := ends[name]; again {
			return "", nil, fmt.Errorf("--network %q is named twice", name)
		}
		if ends[name], err = e.Settings(); err != nil {
			return "", nil, err
		}
	}
	if len(ends) == 1 && !strings.Contains(networks[0], "=") && len(o.aliases) == 0 && o.ip == "" && o.ip6 == "" && o.mac == "" {
		return mode, nil, nil // nothing was said
	}
	return mode, ends, nil
}

func (o *Options) first(name string, e *Endpoint) (string, error) {
	for _, x := range []struct {
		option, beside string
		in             *string
	}{{"--ip", o.ip, &e.ip}, {"--ip6", o.ip6, &e.ip6}, {"--mac-address", o.mac, &e.mac}} {
		if x.beside != "" && *x.in != "" {
			return "", errors.New(x.option + " is given twice, by itself and within --network")
		}
		if x.beside != "" {
			*x.in = x.beside
		}
	}
	e.aliases = append(e.aliases, o.aliases...)
	return name, nil
}
