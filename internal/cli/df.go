package cli

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// usageRow is what a template of `brig system df --format` can name.
type usageRow struct{ Type, TotalCount, Active, Size, Reclaimable string }

// usageDetails is what a template of `brig system df -v --format` can name.
type usageDetails struct {
	Images     []imageRow
	Containers []containerRow
	Volumes    []volumeRow
	BuildCache []cacheRow
}

type cacheRow struct {
	ID, Parent, CacheType, Description, InUse, Shared, Size        string
	CreatedAt, CreatedSince, LastUsedAt, LastUsedSince, UsageCount string
}

func newDiskUsage(a *App) *cobra.Command {
	var format string
	var verbose bool
	cmd := &cobra.Command{
		Use: "df [OPTIONS]", Short: "Print how much disk space images, containers and volumes use", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var u engineapi.DiskUsage
			if err := engine.Call(cmd.Context(), "GET", "/system/df", nil, &u); err != nil {
				return err
			}
			if !verbose {
				columns := []show.Column{{Head: "TYPE", Field: "Type"}, {Head: "TOTAL", Field: "TotalCount"},
					{Head: "ACTIVE", Field: "Active"}, {Head: "SIZE", Field: "Size"}, {Head: "RECLAIMABLE", Field: "Reclaimable"}}
				return show.List(a.Out, format, columns, columns, usageRows(&u))
			}
			details := makeUsageDetails(&u, a.Now(), format == "" || strings.HasPrefix(format, "table"))
			if format != "" && format != "table" {
				return show.One(a.document(), format, details)
			}
			return details.print(a.Out, u.BuildCache)
		},
	}
	cmd.Flags().StringVar(&format, "format", "", `Format: json, "table TEMPLATE" or TEMPLATE`)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "Print one line per object")
	return cmd
}

// sum adds sizes; a size below 0 is not known, and neither is the sum then.
type sum struct {
	n       int64
	unknown bool
}

func (s *sum) add(n int64) {
	if n < 0 {
		s.unknown = true
		return
	}
	s.n += n
}

func (s *sum) String() string {
	if s.unknown {
		return "N/A"
	}
	return units.HumanSize(float64(s.n))
}

// makeUsageRow describes one kind of object.
func makeUsageRow(kind string, total, active int, size, free sum) usageRow {
	row := usageRow{kind, strconv.Itoa(total), strconv.Itoa(active), size.String(), free.String()}
	if !size.unknown && !free.unknown && size.n > 0 && kind != "Build Cache" { // where Docker has no part either
		row.Reclaimable += fmt.Sprintf(" (%d%%)", free.n*100/size.n)
	}
	return row
}

func usageRows(u *engineapi.DiskUsage) []usageRow {
	rows := make([]usageRow, 0, 4)
	size, free, active := sum{n: u.LayersSize}, sum{n: u.LayersSize}, 0
	for _, i := range u.Images {
		if i.Containers > 0 {
			active++
		}
		if i.Containers != 0 && i.Size >= 0 && i.SharedSize >= 0 {
			free.n -= i.Size - i.SharedSize
		}
	}
	rows = append(rows, makeUsageRow("Images", len(u.Images), active, size, free))
	size, free, active = sum{}, sum{}, 0
	for _, c := range u.Containers {
		size.add(c.SizeRw)
		if c.State == "running" || c.State == "paused" || c.State == "restarting" {
			active++
		} else {
			free.add(c.SizeRw)
		}
	}
	rows = append(rows, makeUsageRow("Containers", len(u.Containers), active, size, free))
	size, free, active = sum{}, sum{}, 0
	for _, v := range u.Volumes {
		use := volumeUse(&v)
		size.add(use.Size)
		if use.RefCount > 0 {
			active++
		} else {
			free.add(use.Size)
		}
	}
	rows = append(rows, makeUsageRow("Local Volumes", len(u.Volumes), active, size, free))
	size, free, active = sum{}, sum{}, 0
	for _, c := range u.BuildCache {
		if c.InUse {
			active++
		}
		if !c.Shared {
			size.add(c.Size)
			if !c.InUse {
				free.add(c.Size)
			}
		}
	}
	return append(rows, makeUsageRow("Build Cache", len(u.BuildCache), active, size, free))
}

func makeUsageDetails(u *engineapi.DiskUsage, now time.Time, short bool) *usageDetails {
	d := &usageDetails{Images: []imageRow{}, Containers: []containerRow{}, Volumes: []volumeRow{}, BuildCache: []cacheRow{}}
	for i := range u.Images {
		row := makeImageRows(&u.Images[i], now, !short, false)[0] // the first name is enough
		row.Digest = ""
		d.Images = append(d.Images, row)
	}
	for i := range u.Containers {
		c := &u.Containers[i]
		c.SizeRootFs = 0 // the image is counted above
		d.Containers = append(d.Containers, makeContainerRow(c, now, !short, true))
	}
	for i := range u.Volumes {
		d.Volumes = append(d.Volumes, makeVolumeRow(&u.Volumes[i]))
	}
	for _, c := range u.BuildCache {
		d.BuildCache = append(d.BuildCache, makeCacheRow(&c, now, short))
	}
	show.CleanRows(d.Images)
	show.CleanRows(d.Containers)
	show.CleanRows(d.Volumes)
	show.CleanRows(d.BuildCache)
	return d
}

func makeCacheRow(c *engineapi.CacheRecord, now time.Time, short bool) cacheRow {
	row := cacheRow{ID: c.ID, Parent: strings.Join(c.Parents, ", "), CacheType: c.Type, Description: c.Description,
		Size: units.HumanSize(float64(c.Size)), CreatedAt: c.CreatedAt.String(), CreatedSince: show.Ago(now, c.CreatedAt),
		UsageCount: strconv.Itoa(c.UsageCount), InUse: strconv.FormatBool(c.InUse), Shared: strconv.FormatBool(c.Shared)}
	if c.LastUsedAt != nil {
		row.LastUsedAt, row.LastUsedSince = c.LastUsedAt.String(), show.Ago(now, *c.LastUsedAt)
	}
	if short {
		row.ID = show.ShortID(c.ID)
	}
	return row
}

func (d *usageDetails) print(w io.Writer, cache []engineapi.CacheRecord) error {
	fmt.Fprint(w, "Images space usage:\n\n")
	err := show.List(w, "", []show.Column{{Head: "REPOSITORY", Field: "Repository"}, {Head: "TAG", Field: "Tag"},
		{Head: "IMAGE ID", Field: "ID"}, {Head: "CREATED", Field: "CreatedSince"}, {Head: "SIZE", Field: "Size"},
		{Head: "SHARED SIZE", Field: "SharedSize"}, {Head: "UNIQUE SIZE", Field: "UniqueSize"},
		{Head: "CONTAINERS", Field: "Containers"}}, nil, d.Images)
	fmt.Fprint(w, "\nContainers space usage:\n\n")
	err = cmp.Or(err, show.List(w, "", []show.Column{{Head: "CONTAINER ID", Field: "ID"}, {Head: "IMAGE", Field: "Image"},
		{Head: "COMMAND", Field: "Command"}, {Head: "LOCAL VOLUMES", Field: "LocalVolumes"}, {Head: "SIZE", Field: "Size"},
		{Head: "CREATED", Field: "RunningFor"}, {Head: "STATUS", Field: "Status"}, {Head: "NAMES", Field: "Names"}}, nil,
		d.Containers))
	fmt.Fprint(w, "\nLocal Volumes space usage:\n\n")
	err = cmp.Or(err, show.List(w, "", []show.Column{{Head: "VOLUME NAME", Field: "Name"}, {Head: "LINKS", Field: "Links"},
		{Head: "SIZE", Field: "Size"}}, nil, d.Volumes))
	var size sum
	for _, c := range cache {
		if !c.Shared {
			size.add(c.Size)
		}
	}
	fmt.Fprintf(w, "\nBuild cache usage: %s\n\n", &size)
	return cmp.Or(err, show.List(w, "", []show.Column{{Head: "CACHE ID", Field: "ID"}, {Head: "CACHE TYPE", Field: "CacheType"},
		{Head: "SIZE", Field: "Size"}, {Head: "CREATED", Field: "CreatedSince"}, {Head: "LAST USED", Field: "LastUsedSince"},
		{Head: "USAGE", Field: "UsageCount"}, {Head: "SHARED", Field: "Shared"}}, nil, d.BuildCache))
}
