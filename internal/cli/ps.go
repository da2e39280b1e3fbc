package cli

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// containerRow is what a template of `brig ps --format` can name.
type containerRow struct {
	show.Labelled
	ID, Image, Command, CreatedAt, RunningFor, Ports, State, Status, Size string
	Names, Labels, Mounts, LocalVolumes, Networks                         string
}

func containerColumns(size bool) []show.Column {
	columns := []show.Column{
		{Head: "CONTAINER ID", Field: "ID"}, {Head: "IMAGE", Field: "Image"}, {Head: "COMMAND", Field: "Command"},
		{Head: "CREATED", Field: "RunningFor"}, {Head: "STATUS", Field: "Status"}, {Head: "PORTS", Field: "Ports"},
		{Head: "NAMES", Field: "Names"},
	}
	if size {
		columns = append(columns, show.Column{Head: "SIZE", Field: "Size"})
	}
	return columns
}

func newPs(a *App) *cobra.Command {
	var l listing
	var all, latest, size bool
	var last int
	cmd := &cobra.Command{
		Use: "ps [OPTIONS]", Short: "List containers", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			if latest {
				last = 1
			}
			if last > 0 {
				q.Set("limit", strconv.Itoa(last))
			}
			setFlag(q, "all", all)
			setFlag(q, "size", size)
			if err := filters(q, l.filter); err != nil {
				return err
			}
			return a.ps(cmd.Context(), &l, q, size)
		},
	}
	l.bind(cmd)
	l.bindTrunc(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "List containers that have ended too")
	cmd.Flags().BoolVarP(&latest, "latest", "l", false, "List the newest container")
	cmd.Flags().IntVarP(&last, "last", "n", 0, "List that many of the newest containers")
	cmd.Flags().BoolVarP(&size, "size", "s", false, "Show how much disk space they use")
	return cmd
}

func (a *App) ps(ctx context.Context, l *listing, q url.Values, size bool) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	var list []engineapi.ContainerSummary
	if err := engine.Call(ctx, "GET", "/containers/json", q, &list); err != nil {
		return err
	}
	rows := make([]containerRow, len(list))
	for i := range list {
		rows[i] = makeContainerRow(&list[i], a.Now(), l.noTrunc, size)
	}
	if size && len(list) > 0 && list[0].SizeRw < 0 {
		a.say("warning: --size: this engine does not measure yet what containers write")
	}
	if l.quiet && l.format == "" {
		for _, row := range rows {
			fmt.Fprintln(a.Out, row.ID)
		}
		return nil
	}
	known := append(containerColumns(true), show.Column{Head: "CREATED AT", Field: "CreatedAt"},
		show.Column{Head: "STATE", Field: "State"}, show.Column{Head: "LABELS", Field: "Labels"},
		show.Column{Head: "MOUNTS", Field: "Mounts"}, show.Column{Head: "LOCAL VOLUMES", Field: "LocalVolumes"},
		show.Column{Head: "NETWORKS", Field: "Networks"})
	return show.List(a.Out, l.format, containerColumns(size), known, rows)
}

func makeContainerRow(c *engineapi.ContainerSummary, now time.Time, full, size bool) containerRow {
	created := time.Unix(c.Created, 0)
	row := containerRow{
		Labelled: show.WithLabels(c.Labels), ID: c.ID, Image: c.Image, Command: c.Command,
		CreatedAt: created.Format("2006-01-02 15:04:05 -0700 MST"), RunningFor: show.Ago(now, created),
		Ports: portList(c.Ports), State: string(c.State), Status: c.Status, Labels: labelList(c.Labels),
		Size: "N/A",
	}
	if c.SizeRw > 0 || size && c.SizeRw == 0 { // below 0 it was not measured
		row.Size = show.Size(c.SizeRw)
		if c.SizeRootFs > 0 {
			row.Size += " (virtual " + show.Size(c.SizeRootFs) + ")"
		}
	}
	if !full {
		row.ID, row.Command = show.ShortID(c.ID), show.Truncate(c.Command, 20)
	}
	row.Command = strconv.Quote(row.Command)
	if strings.HasPrefix(row.Image, "sha256:") && !full {
		row.Image = show.ShortID(row.Image)
	}
	names := make([]string, len(c.Names))
	for i, n := range c.Names {
		names[i] = strings.TrimPrefix(n, "/")
	}
	row.Names = strings.Join(names, ",")
	var mounts []string
	volumes := 0
	for _, m := range c.Mounts {
		name := m.Name
		if name == "" {
			name = m.Source
		} else if m.Driver == "local" {
			volumes++
		}
		if !full {
			name = show.Truncate(name, 15)
		}
		mounts = append(mounts, name)
	}
	row.Mounts, row.LocalVolumes = strings.Join(mounts, ","), strconv.Itoa(volumes)
	if c.NetworkSettings != nil {
		var networks []string
		for name := range c.NetworkSettings.Networks {
			networks = append(networks, name)
		}
		sort.Strings(networks)
		row.Networks = strings.Join(networks, ",")
	}
	return row
}

func labelList(labels map[string]string) string {
	list := make([]string, 0, len(labels))
	for k, v := range labels {
		list = append(list, k+"="+v)
	}
	sort.Strings(list)
	return strings.Join(list, ",")
}

// portList writes the ports of a container, "0.0.0.0:8080->80/tcp, 443/tcp", and runs of ports as ranges.
func portList(ports []engineapi.PortSummary) string {
	sort.Slice(ports, func(i, j int) bool {
		a, b := ports[i], ports[j]
		switch {
		case a.Type != b.Type:
			return a.Type < b.Type
		case a.IP != b.IP:
			return a.IP.Less(b.IP)
		case a.PrivatePort != b.PrivatePort:
			return a.PrivatePort < b.PrivatePort
		}
		return a.PublicPort < b.PublicPort
	})
	var out []string
	for i := 0; i < len(ports); {
		first, n := ports[i], 1
		for i+n < len(ports) && follows(first, ports[i+n], uint16(n)) {
			n++
		}
		i += n
		inside := span(first.PrivatePort, n) + "/" + first.Type
		if first.PublicPort != 0 {
			inside = hostPort(first.IP, span(first.PublicPort, n)) + "->" + inside
		}
		out = append(out, inside)
	}
	return strings.Join(out, ", ")
}

// follows reports whether p continues a run that began with first, n ports later.
func follows(first, p engineapi.PortSummary, n uint16) bool {
	return p.Type == first.Type && p.IP == first.IP && p.PrivatePort == first.PrivatePort+n &&
		(first.PublicPort == 0) == (p.PublicPort == 0) && (p.PublicPort == 0 || p.PublicPort == first.PublicPort+n)
}

func span(port uint16, n int) string {
	if n == 1 {
		return strconv.Itoa(int(port))
	}
	return fmt.Sprintf("%d-%d", port, int(port)+n-1)
}

func hostPort(ip netip.Addr, port string) string {
	switch {
	case !ip.IsValid():
		return port
	case ip.Is6():
		return "[" + ip.String() + "]:" + port
	}
	return ip.String() + ":" + port
}
