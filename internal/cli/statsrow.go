package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// statsRow is what a template of `brig stats --format` can name. The order is that of Docker's JSON.
type statsRow struct {
	BlockIO, CPUPerc, Container, ID, MemPerc, MemUsage, Name, NetIO, PIDs string
}

func statsColumns() []show.Column {
	return []show.Column{{Head: "CONTAINER ID", Field: "ID"}, {Head: "NAME", Field: "Name"}, {Head: "CPU %", Field: "CPUPerc"},
		{Head: "MEM USAGE / LIMIT", Field: "MemUsage"}, {Head: "MEM %", Field: "MemPerc"}, {Head: "NET I/O", Field: "NetIO"},
		{Head: "BLOCK I/O", Field: "BlockIO"}, {Head: "PIDS", Field: "PIDs"}}
}

// makeStatsRow computes a row as Docker's client does; without a reading there is nothing to say.
func makeStatsRow(ref string, v *engineapi.StatsResponse, full bool) statsRow {
	const nothing = "--"
	if v == nil {
		return statsRow{nothing, nothing, ref, nothing, nothing, "-- / --", nothing, nothing, nothing}
	}
	used, limit := usedMemory(&v.MemoryStats), float64(v.MemoryStats.Limit)
	share := 0.0
	if limit > 0 {
		share = used / limit * 100
	}
	var received, sent float64
	for _, n := range v.Networks {
		received, sent = received+float64(n.RxBytes), sent+float64(n.TxBytes)
	}
	var read, written float64
	for _, e := range v.BlkioStats.IoServiceBytesRecursive {
		switch {
		case strings.HasPrefix(e.Op, "r"), strings.HasPrefix(e.Op, "R"):
			read += float64(e.Value)
		case strings.HasPrefix(e.Op, "w"), strings.HasPrefix(e.Op, "W"):
			written += float64(e.Value)
		}
	}
	row := statsRow{
		BlockIO: both(read, written), CPUPerc: percent(cpuShare(v)), Container: ref, ID: v.ID, MemPerc: percent(share),
		MemUsage: units.BytesSize(used) + " / " + units.BytesSize(limit), Name: strings.TrimPrefix(v.Name, "/"),
		NetIO: both(received, sent), PIDs: strconv.FormatUint(v.PidsStats.Current, 10),
	}
	if !full {
		row.ID = show.ShortID(v.ID)
	}
	if row.Name == "" {
		row.Name = nothing
	}
	return row
}

func percent(f float64) string { return fmt.Sprintf("%.2f%%", f) }

func both(in, out float64) string {
	return units.HumanSizeWithPrecision(in, 3) + " / " + units.HumanSizeWithPrecision(out, 3)
}

// cpuShare is the container's part of the time of all processors since the reading before: 100 is one processor.
func cpuShare(v *engineapi.StatsResponse) float64 {
	used := float64(v.CPUStats.CPUUsage.TotalUsage) - float64(v.PreCPUStats.CPUUsage.TotalUsage)
	machine := float64(v.CPUStats.SystemUsage) - float64(v.PreCPUStats.SystemUsage)
	cpus := float64(v.CPUStats.OnlineCPUs)
	if cpus == 0 {
		cpus = float64(len(v.CPUStats.CPUUsage.PercpuUsage))
	}
	if used <= 0 || machine <= 0 {
		return 0
	}
	return used / machine * cpus * 100
}

// usedMemory leaves out the page cache that can go at once; version 1 of control groups calls it by another name.
func usedMemory(m *engineapi.MemoryStats) float64 {
	cache, v1 := m.Stats["total_inactive_file"]
	if !v1 || cache >= m.Usage {
		cache = m.Stats["inactive_file"]
	}
	if cache < m.Usage {
		return float64(m.Usage - cache)
	}
	return float64(m.Usage)
}
