package cgroup

import (
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// blkio has the names of the kernel's two schedulers of the weight: whichever is there.
func (g *Group) blkio(b *specs.LinuxBlockIO) (list []Setting) {
	if b == nil {
		return nil
	}
	old, bfq := "blkio.weight", "io.weight"
	if d := g.find("blkio"); d != nil {
		if _, err := os.Lstat(d.file("blkio.bfq.weight")); err == nil {
			old = "blkio.bfq.weight"
		}
		if _, err := os.Lstat(d.file("io.bfq.weight")); err == nil {
			bfq = "io.bfq.weight"
		}
	}
	scale := func(w uint16) string {
		if bfq == "io.weight" { // its weights go from 1 to 10000, and not from 10 to 1000
			return fmt.Sprint(1 + (int64(w)-10)*9999/990)
		}
		return fmt.Sprint(w)
	}
	add := func(field, v1, value1, v2, value2 string) {
		list = append(list, Setting{"blockIO." + field, "blkio", control{v1, value1}, control{v2, value2}})
	}
	if b.Weight != nil && *b.Weight != 0 {
		add("weight", old, number(b.Weight), bfq, scale(*b.Weight))
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		add("leafWeight", "blkio.leaf_weight", number(b.LeafWeight), "", "")
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			device := fmt.Sprintf("%d:%d ", d.Major, d.Minor)
			add("weightDevice", old+"_device", device+number(d.Weight), bfq, device+scale(*d.Weight))
		}
		if d.LeafWeight != nil {
			add("weightDevice", "blkio.leaf_weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.LeafWeight), "", "")
		}
	}
	for _, t := range []struct {
		field, v1, v2 string
		list          []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range t.list {
			add(t.field, t.v1, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate),
				"io.max", fmt.Sprintf("%d:%d %s=%d", d.Major, d.Minor, t.v2, d.Rate))
		}
	}
	return list
}
