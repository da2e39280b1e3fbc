package cli

import (
	"cmp"
	"context"
	"io"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// containerRow is what a template of `brig ps --format` can name.
type containerRow struct {
	show.Labelled
	ID, Image, Command, CreatedAt, RunningFor, Ports, State, Status, Size string
	Names, Labels, Mounts, LocalVolumes, Networks                         string
	Platform                                                              *string // not told by an engine of one platform
	level                                                                 string
}

// Level is for templates. Docker's rows, which are in JSON as its client prints them, have none.
func (r containerRow) Level() string { return r.level }

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
			// As Docker's client: a template that shows the size asks for it.
			setFlag(q, "size", size || strings.Contains(l.format, ".Size"))
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
	if l.quiet { // stronger than any format, as in Docker
		return a.psIDs(ctx, engine, q, l.noTrunc)
	}
	var list []engineapi.ContainerSummary
	if err := engine.Call(ctx, "GET", "/containers/json", q, &list); err != nil {
		return err
	}
	rows := make([]containerRow, len(list))
	for i := range list {
		rows[i] = makeContainerRow(&list[i], a.Now(), l.noTrunc, size)
	}
	if size && slices.ContainsFunc(list, func(c engineapi.ContainerSummary) bool { return c.SizeRw < 0 }) {
		a.say("warning: --size: the engine has not measured all of them. Next: brig system df -v")
	}
	known := append(containerColumns(true), show.Column{Head: "CREATED AT", Field: "CreatedAt"},
		show.Column{Head: "STATE", Field: "State"}, show.Column{Head: "LABELS", Field: "Labels"},
		show.Column{Head: "MOUNTS", Field: "Mounts"}, show.Column{Head: "LOCAL VOLUMES", Field: "LocalVolumes"},
		show.Column{Head: "NETWORKS", Field: "Networks"}, show.Column{Head: "LEVEL", Field: "Level"})
	return show.List(a.Out, l.format, containerColumns(size), known, rows)
}

// psIDs reads no more of the list than it prints: scripts ask for that, of many containers.
func (a *App) psIDs(ctx context.Context, engine *api.Client, q url.Values, full bool) error {
	var list []struct{ ID string }
	err := engine.CallRequest(ctx, api.Request{Method: "GET", Path: "/containers/json", Query: q,
		Header: map[string]string{api.FieldsHeader: "Id"}}, &list)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, c := range list {
		if !full {
			c.ID = show.ShortID(c.ID)
		}
		b.WriteString(c.ID + "\n")
	}
	_, err = io.WriteString(a.Out, b.String())
	return err
}

func makeContainerRow(c *engineapi.ContainerSummary, now time.Time, full, size bool) containerRow {
	created := time.Unix(c.Created, 0)
	row := containerRow{
		Labelled: show.WithLabels(c.Labels), ID: c.ID, Image: c.Image, Command: c.Command,
		CreatedAt: created.Format("2006-01-02 15:04:05 -0700 MST"), RunningFor: show.Ago(now, created),
		Ports: portList(c.Ports), State: string(c.State), Status: c.Status, Labels: labelList(c.Labels),
		Size: "N/A", level: cmp.Or(c.HostConfig.Annotations["brig.level"], "standard"),
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
	row.Image, row.Names = imageOf(c, full), namesOf(c, full)
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

// imageOf shortens an image that has no name to the beginning of its id, and leaves a digest beside a name out.
func imageOf(c *engineapi.ContainerSummary, full bool) string {
	name, digest, ok := strings.Cut(c.Image, "@")
	switch {
	case c.Image == "":
		return "<no image>"
	case full:
		return c.Image
	case strings.HasPrefix(c.Image, "sha256:"):
		return show.ShortID(c.Image)
	case ok && strings.HasPrefix(digest, "sha256:"):
		return name
	}
	return c.Image
}

// namesOf is the name of a container; in full, it is followed by those that it has as the target of links.
func namesOf(c *engineapi.ContainerSummary, full bool) string {
	var names []string
	for _, n := range c.Names {
		if n = strings.TrimPrefix(n, "/"); full || !strings.Contains(n, "/") {
			names = append(names, n)
		}
	}
	if !full && len(names) > 1 {
		names = names[:1]
	}
	return strings.Join(names, ",")
}

func labelList(labels map[string]string) string {
	list := make([]string, 0, len(labels))
	for k, v := range labels {
		list = append(list, k+"="+v)
	}
	sort.Strings(list)
	return strings.Join(list, ",")
}
