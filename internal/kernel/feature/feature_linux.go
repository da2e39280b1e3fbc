package feature

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/release"
)

// Level says what the lack of a feature means.
type Level int

// Required: the engine does not start. Optional: something is slower, weaker or absent.
const (
	Required Level = iota
	Optional
)

// Feature is one thing that the kernel may have.
type Feature struct {
	Name  string
	Since [2]int // kernel version that brought it
	For   string // what Brig does with it; without it, for an optional one, what happens instead
	Fix   string // what to install, set or run
	Level Level
	probe func() error
}

// ErrUnknown is wrapped by a probe that was not allowed to find out (root is needed).
var ErrUnknown = errors.New("unknown without root")

// Probe returns nil when the feature is there, an error that wraps ErrUnknown when that cannot be told, else why it is
// missing.
func (f Feature) Probe() error {
	if f.probe != nil {
		return f.probe()
	}
	have, err := release.Version()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if slices.Compare(have[:], f.Since[:]) < 0 {
		return fmt.Errorf("kernel %d.%d is older than %d.%d", have[0], have[1], f.Since[0], f.Since[1])
	}
	return nil
}

// All returns every feature that Brig knows, required ones first.
func All() []Feature {
	return []Feature{
		{"system calls", [2]int{5, 12}, "opens paths, follows processes, maps ids of mounts",
			"update the kernel; in a container, allow clone3, openat2, pidfd_open, mount_setattr",
			Required, systemCalls},
		{"user namespaces", [2]int{3, 8}, "gives each container its own user ids",
			"sysctl -w user.max_user_namespaces=15000", Required, userNamespaces},
		{"seccomp", [2]int{3, 17}, "filters system calls", "a kernel with CONFIG_SECCOMP_FILTER", Required, seccomp},
		{"overlayfs", [2]int{5, 11}, "writable roots of containers", "modprobe overlay",
			Required, fileSystem("overlay")},
		{"EROFS", [2]int{5, 4}, "images", "modprobe erofs, or a kernel with CONFIG_EROFS_FS",
			Required, fileSystem("erofs")},
		{"whole /proc", [2]int{}, "a fresh /proc in each container",
			"run outside the container, or with its /proc unmasked", Required, wholeProc},
		{"control groups", [2]int{4, 5}, "limits of memory and processes",
			"boot without cgroup_disable=; Raspberry Pi: cgroup_enable=memory", Required, controlGroups},
		{"nftables", [2]int{3, 13}, "networks; without it containers have only loopback", "modprobe nf_tables",
			Optional, nftables},
		{"BPF", [2]int{4, 15}, "checks senders, guards devices; without it one layer less",
			"a kernel with CONFIG_BPF_SYSCALL", Optional, packetProgram},
		{"Landlock", [2]int{5, 13}, "a second wall around files; without it one layer less",
			"boot with lsm=landlock,… added", Optional, landlock},
		{"EROFS from files", [2]int{6, 12}, "images without loop devices", "update to kernel 6.12", Optional, nil},
		{"loop devices", [2]int{2, 6}, "images before kernel 6.12", "modprobe loop", Optional, loopControl},
		{"overlay layers by fd", [2]int{6, 13}, "faster starts", "update to kernel 6.13", Optional, overlayByFD},
		{"names after execveat", [2]int{6, 14}, "ps shows a program's name, not a number", "update to kernel 6.14",
			Optional, nil},
		{"raising limits", [2]int{}, "--ulimit beyond the engine's own; lower ones work",
			"grant CAP_SYS_RESOURCE to the engine", Optional, capability(unix.CAP_SYS_RESOURCE)},
	}
}

// Privileged reports whether this process holds CAP_SYS_ADMIN.
func Privileged() bool { return capability(unix.CAP_SYS_ADMIN)() == nil }

// Container names what this process seems to be inside of ("docker", "podman", …), or "".
func Container() string {
	for path, name := range map[string]string{"/.dockerenv": "docker", "/run/.containerenv": "podman"} {
		if _, err := os.Lstat(path); err == nil {
			return name
		}
	}
	if b, err := os.ReadFile("/run/systemd/container"); err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		if f := strings.Fields(string(b)); len(f) != 3 || f[2] != "4294967295" {
			return "a user namespace"
		}
	}
	return ""
}

// capability probes the effective set.
func capability(number int) func() error {
	return func() error {
		b, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(b), "\nCapEff:")
		hex, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		set, err := strconv.ParseUint(hex, 16, 64)
		switch {
		case err != nil:
			return fmt.Errorf("capabilities %q: %w", hex, err)
		case set&(1<<number) != 0:
			return nil
		case os.Geteuid() != 0:
			return fmt.Errorf("%w", ErrUnknown)
		}
		return errors.New("this capability was taken from root")
	}
}

func wholeProc() error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	return overmounted(string(b))
}

// overmounted finds mounts below /proc: the kernel refuses a fresh /proc in a user namespace while parts of the old
// are hidden. Empty directories that hold other file systems (binfmt_misc) hide nothing.
func overmounted(mountinfo string) error {
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if len(f) < 5 || f[4] == "/proc/sys/fs/binfmt_misc" || f[4] == "/proc/fs/nfsd" {
			continue
		}
		if strings.HasPrefix(f[4], "/proc/") {
			return fmt.Errorf("%s is mounted over", f[4])
		}
	}
	return nil
}

func userNamespaces() error {
	if _, err := os.Lstat("/proc/self/ns/user"); err != nil {
		return errors.New("the kernel has none")
	}
	b, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil || n == 0 {
		return errors.New("user.max_user_namespaces is 0")
	}
	return nil
}

// controlGroups wants memory and pids, in either version.
func controlGroups() error {
	b, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return errors.New("the kernel has none")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if !strings.Contains(string(mounts), " - cgroup") {
		return errors.New("not mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
	}
	for _, name := range []string{"memory", "pids"} {
		if !enabled(string(b), name) {
			return fmt.Errorf("no %s controller", name)
		}
	}
	return nil
}

// enabled reads /proc/cgroups: name, hierarchy, groups, enabled.
func enabled(table, name string) bool {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == name {
			return f[3] == "1"
		}
	}
	return false
}

func loopControl() error {
	if _, err := os.Lstat("/dev/loop-control"); err != nil {
		return errors.New("/dev/loop-control is missing")
	}
	return nil
}
