package cgroup

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	if fields[2] == "" || strings.HasSuffix(fields[2], ".slice") || !isUnit(unit) {
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
	if strings.TrimPrefix(filepath.Base(path), "_") != strings.TrimPrefix(g.Unit, "_") {
		return fmt.Errorf("systemd has put a process of %s into control group %s", g.Unit, path)
	}
	if at, err = Place(path, ""); err == nil {
		g.Dirs = at.Dirs
	}
	return err
}

// amounts are the files of one number, with systemd's properties of them in place of values.
var amounts = []setting{
	{"memory.limit", "memory", control{"memory.limit_in_bytes", "MemoryLimit"}, control{"memory.max", "MemoryMax"}},
	{"memory.swap", "memory", control{}, control{"memory.swap.max", "MemorySwapMax"}},
	{"memory.reservation", "memory", control{}, control{"memory.low", "MemoryLow"}},
	{"unified", "memory", control{}, control{"memory.min", "MemoryMin"}},
	{"unified", "memory", control{}, control{"memory.high", "MemoryHigh"}},
	{"pids.limit", "pids", control{"pids.max", "TasksMax"}, control{"pids.max", "TasksMax"}},
	{"cpu.shares", "cpu", control{"cpu.shares", "CPUShares"}, control{"cpu.weight", "CPUWeight"}},
	{"blockIO.weight", "blkio", control{"blkio.weight", "BlockIOWeight"}, control{"io.weight", "IOWeight"}},
	{"blockIO.weight", "blkio", control{"blkio.bfq.weight", "BlockIOWeight"}, control{bfqWeight, "IOWeight"}},
}

const bfqWeight = "io.bfq.weight"

// Tell has tell learn as properties of systemd what the groups hold, whoever has written it there: what it does not know of
// it would take back. What it knows in larger steps only is written once more.
func (g *Group) Tell(tell func(properties map[string]any) error) error {
	held, properties := map[string]string{}, map[string]any{}
	read := func(s setting) (string, control) { // "" of what is not there
		d, c := g.pick(s)
		if d == nil || c.file == "" {
			return "", c
		}
		held[d.file(c.file)] = firstLine(d.file(c.file))
		return held[d.file(c.file)], c
	}
	for _, a := range amounts {
		text, c := read(a)
		switch n, err := strconv.ParseUint(text, 10, 64); {
		case text == "max" || err == nil && n > 1<<62: // which is how version 1 spells it
			properties[c.value] = uint64(math.MaxUint64)
		case err == nil && c.file == bfqWeight && n > 100: // whose 1000 are systemd's 10000
			properties[c.value] = 100 + 11*(n-100)
		case err == nil && (n > 0 || a.controller != "cpu"): // 0 is cpu.idle
			properties[c.value] = n
		}
	}
	quota, _ := read(setting{controller: "cpu", v1: control{file: "cpu.cfs_quota_us"}, v2: control{file: "cpu.max"}})
	period, _ := read(setting{controller: "cpu", v1: control{file: "cpu.cfs_period_us"}})
	maps.Copy(properties, bandwidthTold(quota+" "+period))
	for file, property := range map[string]string{"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"} {
		text, _ := read(setting{controller: "cpuset", v2: control{file: file}}) // in version 1 it is no business of systemd's
		if mask, err := config.CPUSet(text); err == nil {
			properties[property], _ = binary.Append(nil, binary.LittleEndian, mask) // a slice of numbers can be written
		}
	}
	if d := g.find("devices"); d != nil && !d.V2() && !g.Frozen() { // for a moment systemd refuses all devices there
		if err := g.Freeze(true); err != nil {
			return err
		}
		defer g.Freeze(false)
	}
	if err := tell(properties); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(held)) {
		if value := held[file]; value != "" && firstLine(file) != value {
			if err := write(file, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstLine of a weight is the one of all devices that have none of their own.
func firstLine(file string) string {
	text, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(line, "default ")
}

// bandwidthTold is of quota and period: systemd keeps whole hundredths of a processor, and no less than what holds.
func bandwidthTold(held string) map[string]any {
	const second, step = uint64(1_000_000), uint64(10_000)
	var quota string
	var period uint64
	if n, _ := fmt.Sscan(held, &quota, &period); n < 2 || period == 0 {
		return nil
	}
	told := map[string]any{"CPUQuotaPerSecUSec": uint64(math.MaxUint64), "CPUQuotaPeriodUSec": period}
	if n, err := strconv.ParseUint(quota, 10, 64); err == nil {
		told["CPUQuotaPerSecUSec"] = (n*second/period + step - 1) / step * step
	}
	return told
}
