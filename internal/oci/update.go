package oci

import (
	"errors"
	"flag"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/docker/go-units"

	"github.com/brig-engine/brig/internal/oci/config"
	"github.com/brig-engine/brig/internal/oci/state"
)

func setupUpdate(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var file string
	f.StringVar(&file, "resources", "", "file with resources, in the form of the configuration; - is standard input")
	f.StringVar(&file, "r", "", "short for resources")
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{}}
	number := func(name, help string, set func(n int64)) {
		f.Func(name, help, func(s string) error {
			n, err := units.RAMInBytes(s)
			if s == "-1" {
				n, err = -1, nil
			}
			set(n)
			return err
		})
	}
	unsigned := func(n int64) *uint64 { u := uint64(n); return &u }
	number("memory", "bytes", func(n int64) { r.Memory.Limit = &n })
	number("memory-reservation", "bytes", func(n int64) { r.Memory.Reservation = &n })
	number("memory-swap", "bytes of memory and swap together; -1 is no limit", func(n int64) { r.Memory.Swap = &n })
	number("cpu-share", "weight", func(n int64) { r.CPU.Shares = unsigned(n) })
	number("cpu-period", "microseconds", func(n int64) { r.CPU.Period = unsigned(n) })
	number("cpu-quota", "microseconds in each period", func(n int64) { r.CPU.Quota = &n })
	number("cpu-burst", "microseconds that may be saved up", func(n int64) { r.CPU.Burst = unsigned(n) })
	number("cpu-rt-period", "microseconds", func(n int64) { r.CPU.RealtimePeriod = unsigned(n) })
	number("cpu-rt-runtime", "microseconds in each period", func(n int64) { r.CPU.RealtimeRuntime = &n })
	number("cpu-idle", "0 or 1", func(n int64) { r.CPU.Idle = &n })
	number("pids-limit", "processes; -1 is no limit", func(n int64) { r.Pids = &specs.LinuxPids{Limit: &n} })
	number("blkio-weight", "10 to 1000", func(n int64) {
		weight := uint16(n)
		r.BlockIO = &specs.LinuxBlockIO{Weight: &weight}
	})
	f.Func("cpuset-cpus", "processors", func(s string) error { r.CPU.Cpus = s; return nil })
	f.Func("cpuset-mems", "memory nodes", func(s string) error { r.CPU.Mems = s; return nil })
	return func(args []string) (int, error) {
		id, err := one(args)
		if err == nil && file != "" {
			r, err = config.ReadResources(file)
		}
		if err == nil {
			err = a.update(id, r)
		}
		return 0, err
	}
}

func (a *app) update(id string, r *specs.LinuxResources) error {
	d, err := state.Open(a.root, id)
	if err != nil {
		return err
	}
	defer d.Close()
	if d.Status() == specs.StateStopped {
		return errors.New("cannot update a container that has stopped")
	}
	if len(r.Devices) > 0 {
		return fmt.Errorf("resources.devices cannot be changed: they are what the container was created with")
	}
	return set(d.Groups, r)
}
