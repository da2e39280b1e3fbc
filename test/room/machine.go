package room

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what a comparison depends on.
type Machine struct {
	Kernel, CPU string
	CPUs        int
	Memory      int64 // GiB
	Cgroups     string
}

func (m Machine) String() string {
	return fmt.Sprintf("Linux %s, %d × %s, %d GiB, control groups %s", m.Kernel, m.CPUs, m.CPU, m.Memory, m.Cgroups)
}

// ThisMachine looks.
func ThisMachine() Machine {
	m := Machine{Kernel: "unknown", CPU: runtime.GOARCH, CPUs: runtime.NumCPU(), Cgroups: "v1"}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(cpuinfo) {
		if rest, ok := strings.CutPrefix(string(line), "model name"); ok {
			m.CPU = strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
			break
		}
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = (field(info, "MemTotal") + 1<<19) >> 20
	}
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		m.Cgroups = "v2"
	} else if _, err := os.Stat(cgroupRoot + "/unified"); err == nil {
		m.Cgroups = "v1 and v2"
	}
	return m
}

// Modules names the mandatory access control of this kernel that engines have profiles for.
func Modules() []string {
	var on []string
	if b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err == nil && bytes.HasPrefix(b, []byte("Y")) {
		on = append(on, "AppArmor")
	}
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		on = append(on, "SELinux")
	}
	return on
}
