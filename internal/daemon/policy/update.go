package policy

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// DecodeUpdate reads the body of an update request, as strictly as that of a create request.
func DecodeUpdate(b []byte) (*container.UpdateConfig, error) {
	in := struct {
		container.UpdateConfig
		KernelMemory, KernelMemoryTCP int64
	}{}
	if err := strict(b, &in); err != nil {
		return nil, err
	}
	c := &collector{}
	c.refuse(in.KernelMemory != 0, "HostConfig.KernelMemory", decimal(in.KernelMemory))
	c.refuse(in.KernelMemoryTCP != 0, "HostConfig.KernelMemoryTCP", decimal(in.KernelMemoryTCP))
	return &in.UpdateConfig, c.err()
}

// UpdateInput is a request for other bounds of a container that has some.
type UpdateInput struct {
	Request *container.UpdateConfig
	Shown   container.Resources // the bounds as inspect shows them
	Have    wire.Resources      // the bounds as they are
	Host    Host
}

// Bounds are what an update comes to: in the spec, and as inspect shows it.
type Bounds struct {
	Spec     wire.Resources
	Shown    container.Resources
	Warnings []string
}

// Update decides about a request for other bounds by the rules of Make. What the request leaves at zero stays.
func Update(in UpdateInput) (*Bounds, error) {
	ask := &in.Request.Resources
	if err := conflict(ask, &in.Shown); err != nil {
		return nil, err
	}
	c := &collector{}
	c.fixed(in.Request)
	h := container.HostConfig{Resources: lay(ask, in.Shown)}
	b := &Bounds{Spec: c.resources(&h, in.Host), Shown: h.Resources}
	if err := c.err(); err != nil {
		return nil, err
	}
	if s := &b.Spec; s.CPUQuota == 0 && in.Have.CPUQuota != 0 {
		s.CPUQuota = -1 // says to the kernel that there is none any more; 0 would leave what there is
		s.CPUPeriod = cmp.Or(s.CPUPeriod, in.Have.CPUPeriod)
	}
	b.Warnings = c.warnings
	pids := b.Spec.Pids
	b.Shown.Memory, b.Shown.CPUShares, b.Shown.PidsLimit = b.Spec.Memory, int64(b.Spec.CPUShares), &pids
	return b, nil
}

// conflict refuses, in Docker's words, what does not go together with a bound that there is already.
func conflict(ask, have *container.Resources) error {
	for _, x := range []struct {
		is   bool
		text string
	}{
		{ask.NanoCPUs > 0 && have.CPUPeriod > 0, "Nano CPUs cannot be updated as CPU Period has already been set"},
		{ask.NanoCPUs > 0 && have.CPUQuota > 0, "Nano CPUs cannot be updated as CPU Quota has already been set"},
		{ask.CPUPeriod > 0 && have.NanoCPUs > 0, "CPU Period cannot be updated as NanoCPUs has already been set"},
		{ask.CPUQuota > 0 && have.NanoCPUs > 0, "CPU Quota cannot be updated as NanoCPUs has already been set"},
	} {
		if x.is {
			return fmt.Errorf("Conflicting options: %s: %w", x.text, errdefs.ErrConflict) //nolint:staticcheck // Docker's words
		}
	}
	if have.MemorySwap > 0 && ask.Memory > have.MemorySwap && ask.MemorySwap == 0 {
		return fmt.Errorf("Memory limit should be smaller than already set memoryswap limit, "+ //nolint:staticcheck
			"update the memoryswap at the same time: %w", errdefs.ErrConflict)
	}
	return nil
}

// lay puts what was asked for over what there is.
func lay(ask *container.Resources, over container.Resources) container.Resources {
	r := over
	r.Memory = cmp.Or(ask.Memory, r.Memory)
	r.MemorySwap = cmp.Or(ask.MemorySwap, r.MemorySwap)
	r.MemoryReservation = cmp.Or(ask.MemoryReservation, r.MemoryReservation)
	r.CPUShares = cmp.Or(ask.CPUShares, r.CPUShares)
	r.CPUPeriod = cmp.Or(ask.CPUPeriod, r.CPUPeriod)
	r.CPUQuota = cmp.Or(ask.CPUQuota, r.CPUQuota)
	r.NanoCPUs = cmp.Or(ask.NanoCPUs, r.NanoCPUs)
	switch {
	case ask.CPUQuota < 0 && ask.NanoCPUs == 0:
		r.NanoCPUs = 0 // no quota, however it was written
	case ask.NanoCPUs != 0 && r.CPUQuota < 0:
		r.CPUQuota = ask.CPUQuota
	}
	r.CpusetCpus = cmp.Or(ask.CpusetCpus, r.CpusetCpus)
	r.CpusetMems = cmp.Or(ask.CpusetMems, r.CpusetMems)
	r.BlkioWeight = cmp.Or(ask.BlkioWeight, r.BlkioWeight)
	if p := ask.PidsLimit; p != nil {
		limit := *p
		if limit == 0 {
			limit = -1 // which is what it means here, unlike in a create request
		}
		r.PidsLimit = &limit
	}
	// What the rest of Make refuses by name, it refuses here.
	r.BlkioWeightDevice = ask.BlkioWeightDevice
	r.CPURealtimePeriod, r.CPURealtimeRuntime = ask.CPURealtimePeriod, ask.CPURealtimeRuntime
	r.MemorySwappiness, r.OomKillDisable = ask.MemorySwappiness, ask.OomKillDisable
	r.CPUCount, r.CPUPercent, r.IOMaximumIOps, r.IOMaximumBandwidth = ask.CPUCount, ask.CPUPercent, ask.IOMaximumIOps, ask.IOMaximumBandwidth
	return r
}

// fixed refuses by name what a container has for life.
func (c *collector) fixed(q *container.UpdateConfig) {
	for option, value := range map[string]string{
		"--cgroup-parent": q.CgroupParent,
		"--device":        some(len(q.Devices)), "--device-cgroup-rule": strings.Join(q.DeviceCgroupRules, ","),
		"--device-read-bps": some(len(q.BlkioDeviceReadBps)), "--device-write-bps": some(len(q.BlkioDeviceWriteBps)),
		"--device-read-iops": some(len(q.BlkioDeviceReadIOps)), "--device-write-iops": some(len(q.BlkioDeviceWriteIOps)),
		"--gpus": some(len(q.DeviceRequests)), "--ulimit": some(len(q.Ulimits)),
	} {
		if value != "" && value != "no" {
			c.refusals = append(c.refusals, Refusal{option, clip(value), "a container has it for life", "make the container anew",
				errdefs.ErrNotImplemented})
		}
	}
}

// some is a number of things, "" for none.
func some(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
