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
	if err == nil && (len(g.Dirs) != 1 || !g.Dirs[0].V2()) {
		err = fmt.Errorf("--systemd-cgroup: this machine has control groups of version 1, where systemd takes rules of devices back. " +
			"Next: set the engine to cgroupfs, or boot with systemd.unified_cgroup_hierarchy=1")
	}
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
	if name := at.Dirs[0].Path; strings.TrimPrefix(filepath.Base(name), "_") != strings.TrimPrefix(g.Unit, "_") {
		return fmt.Errorf("systemd has put a process of %s into control group %s", g.Unit, name)
	}
	g.Dirs = at.Dirs
	return nil
}

// amounts are the files of one number that systemd has a property for.
var amounts = []struct{ file, property string }{
	{"memory.max", "MemoryMax"}, {"memory.high", "MemoryHigh"}, {"memory.low", "MemoryLow"}, {"memory.min", "MemoryMin"},
	{"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"}, {"cpu.weight", "CPUWeight"}, {"io.weight", "IOWeight"},
}

// Tell has tell learn as properties of systemd what the groups hold, whoever has written it there: what it does not know of
// it would take back. What it knows in larger steps only is written once more.
func (g *Group) Tell(tell func(properties map[string]any) error) error {
	u, held, properties := g.unified(), map[string]string{}, map[string]any{}
	read := func(file string) string { // "" of a controller that is not there
		text, _ := os.ReadFile(u.file(file))
		held[file], _, _ = strings.Cut(string(text), "\n")
		return held[file]
	}
	for _, a := range amounts {
		text := strings.TrimPrefix(read(a.file), "default ")
		if n, err := strconv.ParseUint(text, 10, 64); err == nil && (n > 0 || a.file != "cpu.weight") { // 0 is cpu.idle
			properties[a.property] = n
		} else if text == "max" {
			properties[a.property] = uint64(math.MaxUint64)
		}
	}
	maps.Copy(properties, bandwidthTold(read("cpu.max")))
	for file, property := range map[string]string{"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"} {
		if mask, err := config.CPUSet(read(file)); err == nil {
			properties[property], _ = binary.Append(nil, binary.LittleEndian, mask) // a slice of numbers can be written
		}
	}
	if err := tell(properties); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(held)) {
		if before := held[file]; before != "" && read(file) != before {
			if err := write(u.file(file), before); err != nil {
				return err
			}
		}
	}
	return nil
}

// bandwidthTold is cpu.max: systemd keeps whole hundredths of a processor, and no less than what holds.
func bandwidthTold(held string) map[string]any {
	const second, step = uint64(1_000_000), uint64(10_000)
	quota, period, _ := strings.Cut(held, " ")
	every, err := strconv.ParseUint(period, 10, 64)
	if err != nil || every == 0 {
		return nil
	}
	told := map[string]any{"CPUQuotaPerSecUSec": uint64(math.MaxUint64), "CPUQuotaPeriodUSec": every}
	if n, err := strconv.ParseUint(quota, 10, 64); err == nil {
		told["CPUQuotaPerSecUSec"] = (n*second/every + step - 1) / step * step
	}
	return told
}
