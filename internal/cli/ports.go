package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// portList writes the ports of a container as Docker does, "443/tcp, 0.0.0.0:8080->80/tcp". Those that have the same
// number outside and inside, or are not published, come first, and runs of them are ranges.
func portList(ports []engineapi.PortSummary) string {
	slices.SortFunc(ports, func(a, b engineapi.PortSummary) int {
		return cmp.Or(cmp.Compare(a.PrivatePort, b.PrivatePort), a.IP.Compare(b.IP), cmp.Compare(a.PublicPort, b.PublicPort),
			strings.Compare(a.Type, b.Type))
	})
	type run struct {
		ip          netip.Addr
		kind        string
		first, last uint16
	}
	var complete, mapped []string
	var open []*run // the last one of each address and protocol
	write := func(r *run) string {
		span := strconv.Itoa(int(r.first))
		if r.first != r.last {
			span += "-" + strconv.Itoa(int(r.last))
		}
		if r.ip.IsValid() {
			span = net.JoinHostPort(r.ip.String(), span) + "->" + span
		}
		return span + "/" + r.kind
	}
	for _, p := range ports {
		if p.IP.IsValid() && p.PublicPort != p.PrivatePort {
			mapped = append(mapped, fmt.Sprintf("%s->%d/%s", hostPort(p.IP, strconv.Itoa(int(p.PublicPort))), p.PrivatePort, p.Type))
			continue
		}
		at := slices.IndexFunc(open, func(r *run) bool { return r.ip == p.IP && r.kind == p.Type })
		switch {
		case at < 0:
			open = append(open, &run{p.IP, p.Type, p.PrivatePort, p.PrivatePort})
		case open[at].last+1 == p.PrivatePort:
			open[at].last++
		default:
			complete = append(complete, write(open[at]))
			open[at] = &run{p.IP, p.Type, p.PrivatePort, p.PrivatePort}
		}
	}
	for _, r := range open {
		complete = append(complete, write(r))
	}
	return strings.Join(append(complete, mapped...), ", ")
}

func newPort(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "port CONTAINER [PORT[/PROTOCOL]]", Short: "Print where the ports of a container are published",
		Args: words(1, 2), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var c engineapi.InspectResponse
			if err := engine.Call(cmd.Context(), "GET", "/containers/"+url.PathEscape(args[0])+"/json", nil, &c); err != nil {
				return err
			}
			var ports network.PortMap
			if c.NetworkSettings != nil {
				ports = c.NetworkSettings.Ports
			}
			return printPorts(a.Out, args, ports)
		},
	}
}

func printPorts(w io.Writer, args []string, ports network.PortMap) error {
	if len(args) == 2 {
		port, err := network.ParsePort(args[1])
		if err != nil {
			return err
		}
		if len(ports[port]) == 0 {
			return fmt.Errorf("port %s of container %s is not published", port, args[0])
		}
		for _, b := range sortedBindings(ports[port]) {
			fmt.Fprintln(w, hostPort(b.HostIP, b.HostPort))
		}
		return nil
	}
	inOrder := slices.SortedFunc(maps.Keys(ports), func(a, b network.Port) int {
		return cmp.Or(cmp.Compare(a.Num(), b.Num()), strings.Compare(string(a.Proto()), string(b.Proto())))
	})
	for _, port := range inOrder {
		for _, b := range sortedBindings(ports[port]) {
			fmt.Fprintf(w, "%s -> %s\n", port, hostPort(b.HostIP, b.HostPort))
		}
	}
	return nil
}

func sortedBindings(list []network.PortBinding) []network.PortBinding {
	return slices.SortedFunc(slices.Values(list), func(a, b network.PortBinding) int {
		return strings.Compare(hostPort(a.HostIP, a.HostPort), hostPort(b.HostIP, b.HostPort))
	})
}

func hostPort(ip netip.Addr, port string) string {
	if !ip.IsValid() {
		return port
	}
	return net.JoinHostPort(ip.String(), port)
}
