package cli

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/request"
	"github.com/brig-engine/brig/internal/cli/show"
)

func newNetworkNoun(a *App) *cobra.Command {
	return noun(a, "network", "What containers are connected to", "",
		newNetworkCreate(a), newNetworkList(a), inspectOne(a, "network"), newNetworkRemove(a), newNetworkPrune(a),
		newNetworkConnect(a), newNetworkDisconnect(a))
}

// networkOptions are the values of `brig network create`. What this engine does in one way only is the engine's to refuse:
// it knows the reason.
type networkOptions struct {
	driver, scope, ipamDriver, configFrom                           string
	attachable, internal, ingress, configOnly, ipv4, ipv6           bool
	labels, options, ipamOptions, subnets, gateways, ranges, others []string
}

func newNetworkCreate(a *App) *cobra.Command {
	var o networkOptions
	cmd := &cobra.Command{
		Use: "create [OPTIONS] NETWORK", Short: "Make a network whose members reach each other", Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := o.request(args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("ipv4") {
				req.EnableIPv4 = &o.ipv4
			}
			if cmd.Flags().Changed("ipv6") {
				req.EnableIPv6 = &o.ipv6
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var made network.CreateResponse
			err = engine.CallRequest(cmd.Context(), api.Request{Method: "POST", Path: "/networks/create", JSON: req}, &made)
			if err != nil {
				return err
			}
			if made.Warning != "" {
				a.say("warning: %s", made.Warning)
			}
			fmt.Fprintln(a.Out, made.ID)
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.driver, "driver", "d", "bridge", "Driver of the network")
	fs.BoolVar(&o.internal, "internal", false, "Let its members reach nothing outside")
	fs.BoolVar(&o.attachable, "attachable", false, "Let containers be connected by hand, which they can be in any case")
	fs.StringArrayVar(&o.labels, "label", nil, "Set a label (key=value)")
	fs.StringArrayVarP(&o.options, "opt", "o", nil, "Option of the driver (key=value)")
	fs.StringArrayVar(&o.subnets, "subnet", nil, "Subnet of the network (172.30.0.0/16)")
	fs.StringArrayVar(&o.gateways, "gateway", nil, "Gateway of the subnet")
	fs.StringArrayVar(&o.ranges, "ip-range", nil, "Part of the subnet that addresses are taken from")
	fs.StringArrayVar(&o.others, "aux-address", nil, "Address of the subnet that is in use (name=address)")
	fs.StringVar(&o.ipamDriver, "ipam-driver", "default", "Who gives addresses")
	fs.StringArrayVar(&o.ipamOptions, "ipam-opt", nil, "Option of who gives addresses (key=value)")
	fs.BoolVar(&o.ipv4, "ipv4", true, "Give IPv4 addresses")
	fs.BoolVar(&o.ipv6, "ipv6", false, "Give IPv6 addresses")
	fs.StringVar(&o.scope, "scope", "", "Scope of the network")
	fs.BoolVar(&o.ingress, "ingress", false, "Make the routing mesh of a swarm")
	fs.BoolVar(&o.configOnly, "config-only", false, "Make a configuration and no network")
	fs.StringVar(&o.configFrom, "config-from", "", "Network whose configuration is taken")
	return cmd
}

func (o *networkOptions) request(name string) (*network.CreateRequest, error) {
	r := &network.CreateRequest{Name: name, Driver: o.driver, Scope: o.scope, Internal: o.internal, Attachable: o.attachable,
		Ingress: o.ingress, ConfigOnly: o.configOnly, Options: pairs(o.options), Labels: pairs(o.labels),
		IPAM: &network.IPAM{Driver: o.ipamDriver, Options: pairs(o.ipamOptions)}}
	if o.configFrom != "" {
		r.ConfigFrom = &network.ConfigReference{Network: o.configFrom}
	}
	var err error
	r.IPAM.Config, err = o.subnetConfig()
	return r, err
}

// subnetConfig puts ranges, gateways and addresses in use to the subnets that they lie in.
func (o *networkOptions) subnetConfig() (out []network.IPAMConfig, err error) {
	for _, s := range o.subnets {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("--subnet %q: an address and the length of its prefix are needed, like 172.30.0.0/16", s)
		}
		out = append(out, network.IPAMConfig{Subnet: p})
	}
	place := func(option, s string, a netip.Addr, err error) (*network.IPAMConfig, error) {
		at := slices.IndexFunc(out, func(c network.IPAMConfig) bool { return c.Subnet.Contains(a) })
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s %q: %w", option, s, err)
		case at < 0:
			return nil, fmt.Errorf("%s %q: no --subnet has it", option, s)
		}
		return &out[at], nil
	}
	for _, s := range o.ranges {
		p, err := netip.ParsePrefix(s)
		c, err := place("--ip-range", s, p.Addr(), err)
		if err != nil {
			return nil, err
		}
		c.IPRange = p
	}
	for _, s := range o.gateways {
		addr, err := netip.ParseAddr(s)
		c, err := place("--gateway", s, addr, err)
		if err != nil {
			return nil, err
		}
		c.Gateway = addr
	}
	for _, s := range o.others {
		name, value, _ := strings.Cut(s, "=")
		addr, err := netip.ParseAddr(value)
		c, err := place("--aux-address", s, addr, err)
		if err != nil {
			return nil, err
		}
		if c.AuxAddress == nil {
			c.AuxAddress = map[string]netip.Addr{}
		}
		c.AuxAddress[name] = addr
	}
	return out, nil
}

func newNetworkRemove(a *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] NETWORK [NETWORK...]", Short: "Remove networks", Aliases: []string{"remove"}, Args: words(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			return a.each(args, func(name string) error {
				err := engine.Call(cmd.Context(), "DELETE", "/networks/"+url.PathEscape(name), nil, nil)
				if force && api.IsStatus(err, 404) {
					return nil
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not mind networks that are not there")
	return cmd
}

func newNetworkConnect(a *App) *cobra.Command {
	var end request.Endpoint
	cmd := &cobra.Command{
		Use: "connect [OPTIONS] NETWORK CONTAINER", Short: "Make a container a member of a network", Args: words(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := end.Settings()
			if err != nil {
				return err
			}
			return a.member(cmd, args[0], "connect", network.ConnectRequest{Container: args[1], EndpointConfig: settings})
		},
	}
	end.Bind(cmd.Flags())
	return cmd
}

func newNetworkDisconnect(a *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "disconnect [OPTIONS] NETWORK CONTAINER", Short: "End a container's membership in a network", Args: words(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.member(cmd, args[0], "disconnect", network.DisconnectRequest{Container: args[1], Force: force})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Disconnect by force, which this engine never needs")
	return cmd
}

func (a *App) member(cmd *cobra.Command, name, verb string, body any) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	path := "/networks/" + url.PathEscape(name) + "/" + verb
	return engine.CallRequest(cmd.Context(), api.Request{Method: "POST", Path: path, JSON: body}, nil)
}

// networkRow is what a template of `brig network ls --format` can name.
type networkRow struct {
	show.Labelled
	ID, Name, Driver, Scope, IPv4, IPv6, Internal, CreatedAt, Labels string
}

func newNetworkList(a *App) *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use: "ls [OPTIONS]", Short: "List networks", Aliases: []string{"list"}, Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if err := filters(q, l.filter); err != nil {
				return err
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var list []network.Summary
			if err := engine.Call(cmd.Context(), "GET", "/networks", q, &list); err != nil {
				return err
			}
			return a.printNetworks(list, &l)
		},
	}
	l.bind(cmd)
	l.bindTrunc(cmd)
	return cmd
}

func (a *App) printNetworks(list []network.Summary, l *listing) error {
	rows := make([]networkRow, len(list))
	for i, n := range list {
		rows[i] = networkRow{
			Labelled: show.WithLabels(n.Labels), ID: n.ID, Name: n.Name, Driver: n.Driver, Scope: n.Scope,
			IPv4: strconv.FormatBool(n.EnableIPv4), IPv6: strconv.FormatBool(n.EnableIPv6),
			Internal: strconv.FormatBool(n.Internal), CreatedAt: n.Created.String(), Labels: labelList(n.Labels),
		}
		if !l.noTrunc {
			rows[i].ID = show.ShortID(n.ID)
		}
		if l.onlyIDs() {
			fmt.Fprintln(a.Out, rows[i].ID)
		}
	}
	if l.onlyIDs() {
		return nil
	}
	columns := []show.Column{{Head: "NETWORK ID", Field: "ID"}, {Head: "NAME", Field: "Name"},
		{Head: "DRIVER", Field: "Driver"}, {Head: "SCOPE", Field: "Scope"}}
	return show.List(a.Out, l.format, columns, append(columns, show.Column{Head: "IPV4", Field: "IPv4"},
		show.Column{Head: "IPV6", Field: "IPv6"}, show.Column{Head: "INTERNAL", Field: "Internal"},
		show.Column{Head: "CREATED AT", Field: "CreatedAt"}, show.Column{Head: "LABELS", Field: "Labels"}), rows)
}
