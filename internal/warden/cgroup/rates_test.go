package cgroup

import (
	"testing"

	oracle "github.com/opencontainers/cgroups"

	"github.com/brig-engine/brig/internal/wire"
)

// A rate is written as the oracle writes it, in both versions.
func TestRatesEqualTheOracles(t *testing.T) {
	theirs := oracle.NewThrottleDevice(8, 16, 1<<40)
	for kind, file := range map[string]string{"rbps": "blkio.throttle.read_bps_device", "wbps": "blkio.throttle.write_bps_device",
		"riops": "blkio.throttle.read_iops_device", "wiops": "blkio.throttle.write_iops_device"} {
		rate := wire.Rate{Source: "/dev/b", Kind: kind, Most: 1 << 40, Disk: "8:16"}
		without := len(settings(wire.Resources{}, false))
		all := settings(wire.Resources{Rates: []wire.Rate{rate}}, false)
		s := all[len(all)-1]
		if len(all) != without+1 || s.usual || s.v1 != (knob{file, theirs.String()}) ||
			s.v2 != (knob{"io.max", theirs.StringName(kind)}) {
			t.Errorf("%s: %+v", kind, s)
		}
	}
}
