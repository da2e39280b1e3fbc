package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what the figures depend on.
type machine struct {
	kernel, cpu string
	cpus        int
	memory      int64 // GiB
	cgroups     string
}

func (m machine) String() string {
	return fmt.Sprintf("Linux %s, %d × %s, %d GiB, control groups %s", m.kernel, m.cpus, m.cpu, m.memory, m.cgroups)
}

func thisMachine() machine {
	m := machine{kernel: "unknown", cpu: runtime.GOARCH, cpus: runtime.NumCPU(), cgroups: "v1"}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.kernel = unix.ByteSliceToString(u.Release[:])
	}
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(cpuinfo) {
		if rest, ok := strings.CutPrefix(string(line), "model name"); ok {
			m.cpu = strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
			break
		}
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.memory = (field(info, "MemTotal") + 1<<19) >> 20
	}
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		m.cgroups = "v2"
	} else if _, err := os.Stat(cgroupRoot + "/unified"); err == nil {
		m.cgroups = "v1 and v2"
	}
	return m
}
