package request

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// Update holds the values of the options that give a container other bounds.
type Update struct {
	flags             *pflag.FlagSet
	o                 Options // of which the bounds are used
	rtPeriod, runtime int64
}

// BindUpdate declares the options on fs.
func BindUpdate(fs *pflag.FlagSet) *Update {
	u := &Update{flags: fs}
	o := &u.o
	fs.SetNormalizeFunc(spelling)
	fs.StringVarP(&o.memory, "memory", "m", "", "Memory limit (bytes, or with b, k, m, g)")
	fs.StringVar(&o.memorySwap, "memory-swap", "", "Limit of memory and swap together; -1 is as much swap as there is")
	fs.StringVar(&o.memoryReservation, "memory-reservation", "", "Memory that is kept under pressure")
	fs.StringVar(&o.cpus, "cpus", "", "Number of CPUs (1.5)")
	fs.Int64VarP(&o.cpuShares, "cpu-shares", "c", 0, "Share of CPU time relative to other containers")
	fs.Int64Var(&o.cpuPeriod, "cpu-period", 0, "Length of a CPU period in microseconds")
	fs.Int64Var(&o.cpuQuota, "cpu-quota", 0, "CPU time per period in microseconds (-1 for all)")
	fs.Int64Var(&u.rtPeriod, "cpu-rt-period", 0, "Length of a real-time period in microseconds")
	fs.Int64Var(&u.runtime, "cpu-rt-runtime", 0, "Real time per period in microseconds")
	fs.StringVar(&o.cpuset, "cpuset-cpus", "", "CPUs to run on (0-2,4)")
	fs.StringVar(&o.cpusetMems, "cpuset-mems", "", "Memory nodes to use (0,1)")
	fs.Int64Var(&o.pidsLimit, "pids-limit", 0, "Largest number of processes and threads")
	fs.Uint16Var(&o.blkioWeight, "blkio-weight", 0, "Share of disk time (10 to 1000)")
	fs.StringVar(&o.restart, "restart", "", "Restart policy (no|on-failure[:N]|always|unless-stopped)")
	o.flags = fs
	return u
}

// Build makes the request.
func (u *Update) Build() (*engineapi.UpdateConfig, error) {
	if u.flags.NFlag() == 0 {
		return nil, errors.New("nothing to change: an option is needed, like --memory 128m")
	}
	var h engineapi.HostConfig
	if err := u.o.resources(&h); err != nil {
		return nil, err
	}
	c := &engineapi.UpdateConfig{
		CPUShares: h.CPUShares, Memory: h.Memory, NanoCPUs: h.NanoCPUs, BlkioWeight: h.BlkioWeight, CPUPeriod: h.CPUPeriod,
		CPUQuota: h.CPUQuota, CPURealtimePeriod: u.rtPeriod, CPURealtimeRuntime: u.runtime, CpusetCpus: h.CpusetCpus,
		CpusetMems: h.CpusetMems, MemoryReservation: h.MemoryReservation, MemorySwap: h.MemorySwap, PidsLimit: h.PidsLimit,
	}
	if u.o.restart != "" {
		if err := u.o.restartPolicy(&h); err != nil {
			return nil, err
		}
		c.RestartPolicy = h.RestartPolicy
	}
	return c, nil
}
