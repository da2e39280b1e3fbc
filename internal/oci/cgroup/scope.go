package cgroup

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/oci/config"
)

// PlaceScope says where the groups of a scope of systemd will be.
func PlaceScope(path, id string) (*Group, error) {
	unit, slice, where, err := parseScope(path, id)
	if err != nil {
		return nil, fmt.Errorf("linux.cgroupsPath %q: %w", path, err)
	}
	g, err := Place(where+"/"+unit, id)
	if err != nil {
		return nil, err
	}
	g.Unit, g.Slice = unit, slice
	return g, nil
}

// parseScope takes what engines send, slice:prefix:name, apart. A slice is none of the names: no process may be in it.
func parseScope(path, id string) (unit, slice, where string, err error) {
	fields := strings.Split(cmp.Or(path, ":brig-oci:"+id), ":")
	if len(fields) != 3 {
		return "", "", "", errors.New("with --systemd-cgroup it is slice:prefix:name. " +
			"Next: set the engine to systemd as well, or leave --systemd-cgroup out")
	}
	slice, unit = cmp.Or(fields[0], "system.slice"), fields[2]+".scope"
	if fields[1] != "" {
		unit = fields[1] + "-" + unit
	}
	if where, err = expand(slice); err != nil {
		return "", "", "", err
	}
	if fields[2] == "" || strings.HasSuffix(fields[2], ".slice") || unit == "init.scope" || !isUnit(unit) {
		return "", "", "", fmt.Errorf("%q is no name of a scope: letters, digits and _.-\\ are what it may have, at most 255 of them", unit)
	}
	return unit, slice, where, nil
}

func isUnit(name string) bool {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-\\"
	return len(name) < 256 && strings.Trim(name, chars) == ""
}

// expand is the path of a slice: a-b.slice is in a.slice, and -.slice is the root.
func expand(slice string) (path string, err error) {
	if slice == "-.slice" {
		return "", nil
	}
	name, ok := strings.CutSuffix(slice, ".slice")
	above := ""
	for part := range strings.SplitSeq(name, "-") {
		if part == "" || !ok || !isUnit(slice) {
			return "", fmt.Errorf("%q is no name of a slice, such as a-b.slice", slice)
		}
		path += "/" + above + part + ".slice"
		above += part + "-"
	}
	return path, nil
}

// Follow places the groups where systemd has put a process of the scope: a name that means something to the kernel it escapes.
func (g *Group) Follow(pid int) error {
	at, err := placeFrom(strconv.Itoa(pid), "", "")
	if err != nil {
		return err
	}
	path := "none of systemd's hierarchies"
	for _, d := range at.Dirs {
		if d.V2() || slices.Contains(d.Controllers, "name=systemd") {
			path = d.Path
		}
	}
	if base := filepath.Base(path); base != g.Unit && base != "_"+g.Unit {
		return fmt.Errorf("systemd has put a process of %s into control group %s", g.Unit, path)
	}
	if at, err = Place(path, ""); err == nil {
		g.Dirs = at.Dirs
		g.Serial = g.Number()
	}
	return err
}

// Number is that of the group with the container's processes; 0 without one.
func (g *Group) Number() uint64 {
	var st unix.Stat_t
	_ = unix.Lstat(g.counted().Name(), &st)
	return st.Ino
}

// Ours tells whether the groups are those that were made for the container. The name of a scope is free as soon as that has ended,
// and may be somebody's before ours was made.
func (g *Group) Ours() bool { return g.Unit == "" || g.Serial != 0 && g.Serial == g.Number() }

// amounts are systemd's properties of the files of one number.
var amounts = map[string]string{
	"memory.limit_in_bytes": "MemoryLimit", "memory.max": "MemoryMax", "memory.swap.max": "MemorySwapMax", "memory.low": "MemoryLow",
	"memory.min": "MemoryMin", "memory.high": "MemoryHigh", "pids.max": "TasksMax", "cpu.shares": "CPUShares", "cpu.weight": "CPUWeight",
	"blkio.weight": "BlockIOWeight", "io.weight": "IOWeight", bfqWeight: "IOWeight",
}

const bfqWeight = "io.bfq.weight"

// Properties are what systemd has to know of settings before they are written: what it does not know of it takes back whenever it
// is reloaded.
func (g *Group) Properties(list []Setting) map[string]any {
	known, quota, period := map[string]any{}, "", ""
	for _, s := range list {
		d, c := g.pick(s)
		property, ok := amounts[c.file]
		n, err := units.RAMInBytes(c.value) // the kernel has letters for multiples as well
		switch {
		case d == nil: // which is said when it is written
		case c.file == "cpu.max":
			quota, period, _ = strings.Cut(c.value, " ")
		case c.file == "cpu.cfs_period_us":
			quota, period = d.text("cpu.cfs_quota_us"), c.value
		case c.file == "cpu.cfs_quota_us":
			quota, period = c.value, cmp.Or(period, d.text("cpu.cfs_period_us"))
		case d.V2() && (c.file == "cpuset.cpus" || c.file == "cpuset.mems"): // in version 1 they are no business of systemd's
			property = map[string]string{"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}[c.file]
			if mask, err := config.CPUSet(c.value); err == nil {
				known[property], _ = binary.Append(nil, binary.LittleEndian, mask) // numbers can be written
			}
		case ok && (c.value == "max" || c.value == "-1"):
			known[property] = uint64(math.MaxUint64)
		case ok && err == nil && c.file == bfqWeight && n > 100: // whose 1000 are systemd's 10000
			known[property] = uint64(100 + 11*(n-100))
		case ok && err == nil:
			known[property] = uint64(n)
		}
	}
	if quota != "" {
		maps.Copy(known, bandwidthKnown(quota, period))
	}
	return known
}

// bandwidthKnown is of quota and period: systemd keeps whole hundredths of a processor, and no less than what is written.
func bandwidthKnown(quota, period string) map[string]any {
	const second, step = uint64(1_000_000), uint64(10_000)
	every, err := strconv.ParseUint(cmp.Or(period, "100000"), 10, 64)
	if err != nil || every == 0 {
		return nil
	}
	known := map[string]any{"CPUQuotaPerSecUSec": uint64(math.MaxUint64), "CPUQuotaPeriodUSec": every}
	if n, err := strconv.ParseUint(quota, 10, 64); err == nil {
		known["CPUQuotaPerSecUSec"] = (n*second/every + step - 1) / step * step
	}
	return known
}

// Calm has do run while nobody uses devices that systemd refuses for a moment, in version 1, when it writes its rules once more.
func (g *Group) Calm(do func() error) error {
	if d := g.find("devices"); d == nil || d.V2() || g.Frozen() {
		return do()
	}
	if err := g.Freeze(true); err != nil {
		return err
	}
	return errors.Join(do(), g.Freeze(false))
}
