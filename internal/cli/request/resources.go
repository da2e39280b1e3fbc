package request

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

func (o *Options) resources(h *engineapi.HostConfig) (err error) {
	if h.Memory, err = size("--memory", o.memory); err != nil {
		return err
	}
	if h.MemoryReservation, err = size("--memory-reservation", o.memoryReservation); err != nil {
		return err
	}
	if o.memorySwap == "-1" {
		h.MemorySwap = -1
	} else if h.MemorySwap, err = size("--memory-swap", o.memorySwap); err != nil {
		return err
	}
	if o.cpus != "" {
		if h.NanoCPUs, err = nanoCPUs(o.cpus); err != nil {
			return err
		}
	}
	if o.flags.Changed("memory-swappiness") {
		if o.swappiness < -1 || o.swappiness > 100 {
			return fmt.Errorf("--memory-swappiness %d: the range is 0 to 100", o.swappiness)
		}
		h.MemorySwappiness = &o.swappiness
	}
	if o.flags.Changed("oom-kill-disable") {
		h.OomKillDisable = &o.oomKillDisable
	}
	if o.flags.Changed("pids-limit") {
		h.PidsLimit = &o.pidsLimit
	}
	h.CPUShares, h.CPUPeriod, h.CPUQuota = o.cpuShares, o.cpuPeriod, o.cpuQuota
	h.CPURealtimePeriod, h.CPURealtimeRuntime = o.cpuRtPeriod, o.cpuRtRuntime
	h.CPUCount, h.CPUPercent = o.cpuCount, o.cpuPercent
	h.CpusetCpus, h.CpusetMems = o.cpuset, o.cpusetMems
	h.BlkioWeight, h.CgroupParent = o.blkioWeight, o.cgroupParent
	return nil
}

func (o *Options) limits(h *engineapi.HostConfig) error {
	seen := make(map[string]bool)
	for _, s := range o.ulimits {
		u, err := units.ParseUlimit(s)
		if err != nil {
			return fmt.Errorf("--ulimit %q: %w", s, err)
		}
		if seen[u.Name] {
			return fmt.Errorf("--ulimit %q: %s is set twice", s, u.Name)
		}
		seen[u.Name] = true
		h.Ulimits = append(h.Ulimits, u)
	}
	return nil
}

// size reads an amount of memory: bytes, or with a suffix in powers of 1024.
func size(option, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := units.RAMInBytes(s)
	if err != nil {
		return 0, fmt.Errorf("%s %q: a size is needed, like 128m: %w", option, s, err)
	}
	return n, nil
}

// nanoCPUs reads a decimal number of CPUs exactly, in billionths.
func nanoCPUs(s string) (int64, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	fail := fmt.Errorf("--cpus %q: a number is needed, with at most nine decimals, like 1.5", s)
	if len(whole) > 9 || len(fraction) > 9 || whole == "" && fraction == "" {
		return 0, fail
	}
	n, err := strconv.ParseUint("0"+whole+fraction+strings.Repeat("0", 9-len(fraction)), 10, 63)
	if err != nil {
		return 0, fail
	}
	return int64(n), nil
}

func positive(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && n < 0 {
		err = errors.New("negative")
	}
	return n, err
}
