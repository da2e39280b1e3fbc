package policy

import (
	"strconv"
	"strings"

	"github.com/brig-engine/brig/internal/wire"
)

// maskedPaths hides what leaks from the whole machine. /proc/interrupts, the thermal and the power-cap files are side
// channels between containers (GHSA-6fw5-f8r9-fgfm, GHSA-jq35-85cj-fj4p).
func maskedPaths(cpus int) []string {
	paths := []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	for i := range cpus {
		paths = append(paths, "/sys/devices/system/cpu/cpu"+strconv.Itoa(i)+"/thermal_throttle")
	}
	return paths
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// security is what the options of --security-opt come to.
type security struct {
	allowNewPrivileges bool
	unconfined         bool
	// appArmor is a profile, or "unconfined"; "" is the engine's.
	appArmor string
	// abi32 lets programs of 32 bits run.
	abi32   bool
	selinux label
	// profile is a seccomp profile in Docker's JSON; "" is the default.
	profile string
}

// securityOpts reads NAME=VALUE and the old NAME:VALUE.
func (c *collector) securityOpts(opts []string, host *Host) (s security) {
	for _, o := range opts {
		name, value, ok := strings.Cut(o, "=")
		if !ok {
			name, value, ok = strings.Cut(o, ":")
		}
		switch {
		case name == "no-new-privileges":
			s.allowNewPrivileges = c.newPrivileges(o, value, ok)
		case name == "seccomp" && value == "unconfined":
			s.unconfined = true
		case name == "seccomp" && (value == "builtin" || value == "default"):
		case name == "seccomp" && strings.HasPrefix(strings.TrimSpace(value), "{"):
			s.profile = value
		case name == "seccomp":
			c.invalid("--security-opt", o, "a profile is the JSON itself, builtin or unconfined")
		case name == "abi32" && value == "allow" && host.ABI32:
			s.abi32 = true
		case name == "abi32" && value == "allow":
			c.refuse(true, "HostConfig.SecurityOpt=abi32=allow", o)
		case name == "abi32" && value == "refuse":
		case name == "abi32":
			c.invalid("--security-opt", o, "the value is allow or refuse")
		case name == "apparmor":
			s.appArmor = c.appArmor(o, value, host.AppArmor)
		case name == "label":
			c.selinux(o, value, &s.selinux, host.SELinux)
		case name == "writable-cgroups" && value == "false":
		case name == "writable-cgroups" && value == "true":
			c.refuse(true, "HostConfig.SecurityOpt=writable-cgroups=true", o)
		case name == "systempaths":
			c.refuse(true, "HostConfig.SecurityOpt=systempaths=unconfined", o)
		default:
			c.refuse(true, "HostConfig.SecurityOpt=OTHER", o)
		}
	}
	return s
}

// appArmor is the profile of an option, which this host must be able to follow, unless there is nothing to do.
func (c *collector) appArmor(o, value string, have bool) string {
	switch {
	case value == "unconfined" && !have:
		return ""
	case !have:
		c.invalid("--security-opt", o, "the kernel of this host has no AppArmor")
	case value == "" || len(value) > 255 || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.invalid("--security-opt", o, "it is no name of a profile")
	}
	return value
}

// profileFor is the AppArmor profile that a process has.
func profileFor(asked string, capabilities uint64, have bool) string {
	switch {
	case !have || asked != "" && asked != wire.AppArmorDefault && asked != wire.AppArmorCapable:
		return asked
	case capabilities&^defaultCaps() != 0:
		return wire.AppArmorCapable
	}
	return wire.AppArmorDefault
}

func (c *collector) newPrivileges(o, value string, hasValue bool) (allow bool) {
	switch {
	case !hasValue, value == "true":
		return false
	case value == "false":
		return true
	}
	c.invalid("--security-opt", o, "the value is true or false")
	return false
}

// sysctls passes names that belong to a namespace of the container.
func (c *collector) sysctls(in map[string]string, hasNetwork, hasIPC bool) map[string]string {
	var out map[string]string
	for _, name := range sortedKeys(in) {
		v := in[name]
		switch {
		case strings.ContainsAny(name, "/ \n\x00") || strings.Contains(name, "..") || strings.ContainsAny(v, "\n\x00"):
			// CVE-2022-0811: a second sysctl in the value of a first.
			c.invalid("--sysctl", name, "a name has dots only, a value is one line")
		case !namespaced(name):
			c.refuse(true, "HostConfig.Sysctls=kernel.NAME", name)
		case strings.HasPrefix(name, "net.") && !hasNetwork:
			c.invalid("--sysctl", name, "the container has no network of its own to change")
		case !strings.HasPrefix(name, "net.") && !hasIPC:
			c.invalid("--sysctl", name, "the container has no IPC namespace of its own to change")
		default:
			if out == nil {
				out = map[string]string{}
			}
			out[name] = v
		}
	}
	return out
}

func namespaced(name string) bool {
	switch name {
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
		"kernel.shmmni", "kernel.shm_rmid_forced":
		return true
	}
	return strings.HasPrefix(name, "fs.mqueue.") || strings.HasPrefix(name, "net.")
}
