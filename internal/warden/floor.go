package warden

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// The floor is what no brigd can ask for, whoever asked brigd. It is checked on the effective spec, here, in the
// process that holds the privileges.

// forbidden capabilities reach beyond a container even from a user namespace of its own, or open parts of the kernel
// that nothing in a container needs.
var forbidden = mask(unix.CAP_DAC_READ_SEARCH, unix.CAP_LINUX_IMMUTABLE, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO,
	unix.CAP_SYS_PACCT, unix.CAP_SYS_ADMIN, unix.CAP_SYS_BOOT, unix.CAP_SYS_TIME, unix.CAP_MAC_OVERRIDE,
	unix.CAP_MAC_ADMIN, unix.CAP_SYSLOG, unix.CAP_WAKE_ALARM, unix.CAP_BLOCK_SUSPEND, unix.CAP_AUDIT_CONTROL,
	unix.CAP_AUDIT_READ, unix.CAP_PERFMON, unix.CAP_BPF, unix.CAP_CHECKPOINT_RESTORE) | (1<<64 - 1<<(unix.CAP_LAST_CAP+1))

// Paths that no container sees, or can change, whatever was asked for: the kernel's memory, keys, clocks and switches.
var (
	alwaysMasked = []string{"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/acpi", "/proc/asound",
		"/proc/interrupts", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}
	alwaysReadonly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/pressure", "/proc/sys", "/proc/sysrq-trigger"}
)

// hide adds to a spec's paths those that are hidden in any case.
func hide(s *wire.Spec) {
	for _, p := range alwaysMasked {
		if !slices.Contains(s.MaskedPaths, p) {
			s.MaskedPaths = append(s.MaskedPaths, p)
		}
	}
	for _, p := range alwaysReadonly {
		if !slices.Contains(s.ReadonlyPaths, p) && !slices.Contains(s.MaskedPaths, p) {
			s.ReadonlyPaths = append(s.ReadonlyPaths, p)
		}
	}
}

func mask(caps ...int) (m uint64) {
	for _, c := range caps {
		m |= 1 << c
	}
	return m
}

const (
	maxArgs       = 1 << 20 // bytes of arguments and environment together
	maxMounts     = 48      // each is a descriptor of the child
	maxDevices    = 128
	maxPorts      = 48 // each is two descriptors of a reply
	maxSysctls    = 64
	maxSysctl     = 256 // bytes of a value
	maxPaths      = 512
	maxRlimits    = 32
	maxGroups     = 256
	maxFiles      = 16
	maxVolumeName = 255
	maxFileSize   = 16 << 10
	maxPids       = 1 << 22
	minMemory     = 6 << 20
	minDisk       = 1 << 20
	defaultShm    = 64 << 20
	ownIDs        = 0x7FFD0000 // brigd and workers
	firstIDs      = 0x70000000
)

// refusal collects what is wrong with a spec, so that everything is said at once.
type refusal struct{ texts []string }

// when refuses what is wrong, with the rule and the value.
func (r *refusal) when(wrong bool, format string, args ...any) {
	if wrong {
		r.texts = append(r.texts, fmt.Sprintf(format, args...))
	}
}

func (r *refusal) err() error {
	if len(r.texts) == 0 {
		return nil
	}
	return fmt.Errorf("the floor policy refuses: %s: %w", strings.Join(r.texts, "; "), errdefs.ErrPermissionDenied)
}

// checkSpec holds an effective spec against the floor.
func checkSpec(s *wire.Spec, by *caller, memory int64) error {
	var r refusal
	checkProcess(&r, &s.Process)
	r.when(s.Process.Filter != nil && path.IsAbs(s.Process.Filter.Listener) && by == nil, "the listener of a filter is reached as its caller could, who is not known")
	checkResources(&r, &s.Resources, memory)
	r.when(s.Disk != 0 && s.Disk < minDisk, "a container needs %d bytes of disk at least, not %d", minDisk, s.Disk)
	tooMany := len(s.Mounts) > maxMounts || len(s.Devices) > maxDevices || len(s.Files) > maxFiles || len(s.Network.Ports) > maxPorts ||
		len(s.Sysctl) > maxSysctls || len(s.MaskedPaths)+len(s.ReadonlyPaths) > maxPaths
	r.when(tooMany, "at most %d mounts, %d engine files, %d published ports, %d sysctls and %d paths to hide", maxMounts, maxFiles, maxPorts, maxSysctls, maxPaths)
	if tooMany {
		return r.err()
	}
	for i := range s.Mounts {
		m := &s.Mounts[i]
		checkMount(&r, m, by)
		r.when(s.Runtime != "" && !m.Writable && m.Kind != wire.MountImage, "the runtime %q could write to %s, which is for reading", s.Runtime, m.Target)
	}
	for _, d := range s.Devices {
		const both = unix.BPF_DEVCG_ACC_READ | unix.BPF_DEVCG_ACC_WRITE
		below := strings.HasPrefix(d.Target, "/dev/") && !strings.HasPrefix(d.Target, "/dev/fd/") && path.Clean(d.Target) == d.Target && len(d.Target) <= maxSysctl
		r.when(!below || d.Access == 0 || d.Access&^both != 0 || path.Clean(d.Source) != d.Source, "devices are given below /dev: not %q as %q with access %#x",
			d.Source, d.Target, d.Access)
	}
	for _, f := range s.Files {
		r.when(len(f.Content) > maxFileSize, "engine file %q has at most %d bytes", f.Path, maxFileSize)
	}
	for _, p := range slices.Concat(s.MaskedPaths, s.ReadonlyPaths) {
		r.when(!strings.HasPrefix(p, "/proc/") && !strings.HasPrefix(p, "/sys/"), "path %q to hide must lie below /proc or /sys", p)
	}
	err := plan.Check(s)
	r.when(err != nil, "%v", err)
	for k, v := range s.Sysctl {
		r.when(!sysctlAllowed(k) || strings.ContainsAny(v, "\x00\n") || len(v) > maxSysctl,
			"sysctl %s is not namespaced: only kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.* are", k)
	}
	r.when(len(s.Hostname) > 63 || len(s.Domainname) > 63 || strings.ContainsRune(s.Hostname+s.Domainname, 0), "host and domain names have at most 63 characters")
	checkNetwork(&r, &s.Network)
	j := s.Join
	const joinable = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWPID
	twice := j.Namespaces&unix.CLONE_NEWNET != 0 && s.Network.Mode != wire.NetworkNone
	r.when(j.Namespaces&(unix.CLONE_NEWNET|unix.CLONE_NEWIPC) != 0 && len(s.Sysctl) > 0, "sysctls of namespaces that are joined are their owner's")
	r.when(j != wire.Join{} && s.Runtime != "", "the runtime %q is alone in its sandbox", s.Runtime)
	r.when(j != wire.Join{} && !containerID(j.Container) || j.Namespaces&^joinable != 0 || twice,
		"namespaces %#x of container %q cannot be joined with network mode %q", j.Namespaces, j.Container, s.Network.Mode)
	return r.err()
}

// checkNeeds holds a spec against the administrator's policy, which is read anew: one that cannot be read allows nothing.
// With it comes the runtime that the spec names, if it names one.
func (w *Warden) checkNeeds(s *wire.Spec, by *caller) (runtime []string, err error) {
	var r refusal
	p, err := wire.ReadPolicy(w.cfg.Root)
	r.when(err != nil, "the administrator's policy: %v. Next: brig policy apply", err)
	r.when(!w.facts.SELinux && s.Process.Label+s.Process.Level != "", "this host has no SELinux with a policy for containers")
	for _, need := range s.Needs(p.Strict) { // of images nothing is known here but their contents
		g := p.Allow(need, (*rules.Caller)(by), func(string) bool { return true })
		r.when(g == nil, "%s is given to this caller by no line of the administrator's policy", need)
	}
	runtime = p.Runtimes[s.Runtime]
	r.when(s.Runtime != "" && len(runtime) == 0, "the administrator's policy names no runtime %q", s.Runtime)
	return runtime, r.err()
}

func checkProcess(r *refusal, p *wire.Process) {
	words := append(slices.Concat(p.Args, p.Env), p.Cwd)
	size := len(words)
	for _, w := range words {
		size += len(w)
	}
	r.when(size > maxArgs, "arguments and environment have at most %d bytes", maxArgs)
	c := p.Capabilities
	bad := (c.Bounding | c.Permitted) & forbidden
	r.when(bad != 0, "capabilities %#x are never given to a container", bad)
	r.when(p.User.UID >= idmap.Size || p.User.GID >= idmap.Size,
		"user and group ids inside a container are below %d, not %d:%d", idmap.Size, p.User.UID, p.User.GID)
	r.when(len(p.Rlimits) > maxRlimits || len(p.User.Groups) > maxGroups, "at most %d limits and %d groups", maxRlimits, maxGroups)
	for _, g := range p.User.Groups {
		r.when(g >= idmap.Size, "group id %d is not below %d", g, idmap.Size)
	}
	r.when(p.OOMScoreAdj < 0 || p.OOMScoreAdj > 1000, "an OOM score adjustment is between 0 and 1000, not %d", p.OOMScoreAdj)
	r.when(strings.ContainsAny(p.AppArmor, " \n\x00") || len(p.AppArmor) > maxSysctl, "%q is no name of an AppArmor profile", p.AppArmor)
	r.when(p.Filter != nil && !p.Filter.Valid(), "a filter has at most %d instructions of 8 bytes, one if it has a listener, and no flags but those for that and for the log", wire.FilterMaxInstructions)
}

func checkResources(r *refusal, res *wire.Resources, memory int64) {
	r.when(res.Memory < minMemory || res.Memory > memory, "a memory limit between 6 MiB and the machine's %d bytes is needed, not %d", memory, res.Memory)
	r.when(res.MemorySwap != 0 && res.MemorySwap < res.Memory, "memory with swap cannot be less than memory, or unlimited (%d)", res.MemorySwap)
	r.when(res.MemoryReservation < 0, "a memory reservation of %d bytes is not possible", res.MemoryReservation)
	r.when(res.CPUQuota < -1, "a CPU quota is positive, or -1 for none, not %d", res.CPUQuota)
	r.when(len(res.Rates) > maxDevices, "at most %d rates of disks", maxDevices)
	r.when(res.Pids < 1 || res.Pids > maxPids, "a limit of processes is needed, not %d", res.Pids)
}

func checkMount(r *refusal, m *wire.Mount, by *caller) {
	r.when(m.Relabel != "" && m.Relabel != "z" && m.Relabel != "Z", "nothing is relabelled by %q", m.Relabel)
	r.when(m.Target == "/dev" || strings.HasPrefix(m.Target, "/dev/") && m.Target != "/dev/shm", "nothing is mounted over /dev (asked: %s)", m.Target)
	switch m.Kind {
	case wire.MountTmpfs:
		r.when(m.Size <= 0 || m.Mode&^0o1777 != 0 || max(m.UID, m.GID) >= idmap.Size,
			"tmpfs on %s: size %d, mode %o or owner %d:%d is not possible", m.Target, m.Size, m.Mode, m.UID, m.GID)
	case wire.MountImage: // the store knows its own
	case wire.MountVolume:
		r.when(!validName(m.Source, maxVolumeName), "%q is no name of a volume", m.Source)
	case wire.MountBind:
		r.when(by == nil || !path.IsAbs(m.Source), "bind mount of %q needs its caller and an absolute path", m.Source)
	default:
		r.when(true, "mounts of kind %q do not exist", m.Kind)
	}
}

// sysctlAllowed: settings that belong to the container's own namespaces (ipc, network).
func sysctlAllowed(k string) bool {
	if strings.ContainsAny(k, "/\x00") || strings.Contains(k, "..") {
		return false
	}
	return k == "kernel.sem" || strings.HasPrefix(k, "kernel.shm") || strings.HasPrefix(k, "kernel.msg") ||
		strings.HasPrefix(k, "fs.mqueue.") || strings.HasPrefix(k, "net.")
}

func checkNetwork(r *refusal, n *wire.Network) {
	none := n.Mode == wire.NetworkNone && len(n.Ports) == 0
	checkMembership(r, &n.Membership)
	r.when(!none && (n.Mode != wire.NetworkEndpoint || n.Name != "bridge"), "network %q of mode %q with %d ports is not possible", n.Name, n.Mode, len(n.Ports))
	for _, p := range n.Ports {
		r.when(p.Proto != "tcp" && p.Proto != "udp" || p.ContainerPort == 0, "port %d/%s cannot be published", p.ContainerPort, p.Proto)
	}
}

// checkMembership: a set has each element once, and 0 is the end of a list in a map.
func checkMembership(r *refusal, m *wire.Membership) {
	distinct := slices.Compact(slices.Sorted(slices.Values(m.Networks)))
	r.when(len(m.Networks) > wire.MaxNetworks || len(distinct) < len(m.Networks) || slices.Contains(m.Networks, 0),
		"a container is in at most %d networks, in each once", wire.MaxNetworks)
}

// validName says whether s may become a file name: [a-zA-Z0-9][a-zA-Z0-9_.-]*, of at most so many bytes.
func validName(s string, most int) bool {
	const first, more = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "_.-"
	return s != "" && len(s) <= most && strings.Trim(s, first+more) == "" && !strings.Contains(more, s[:1])
}

// containerID: 64 lower-case hex digits.
func containerID(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

// filters are the system-call filters that are built in, by their name.
type filters map[string][]byte

func (w *Warden) openFilters() (err error) {
	w.filters = filters{}
	for _, name := range []string{"floor", "floor-raw", "floor-admin", "floor-raw-admin", "floor-abi32", "floor-raw-abi32",
		"floor-admin-abi32", "floor-raw-admin-abi32", "floor-runtime", "default", "brigd", "router", "store", "worker", "filler", "copier"} {
		if w.filters[name], err = code.Read(name); err != nil {
			return err
		}
	}
	return nil
}

// floorFor names the floor that gives way where a capability would be meaningless without it. checkSpec has passed the
// capabilities.
func floorFor(permitted uint64, abi32 bool) string {
	name := "floor"
	if permitted&mask(unix.CAP_NET_RAW) != 0 {
		name += "-raw"
	}
	if permitted&mask(unix.CAP_NET_ADMIN) != 0 {
		name += "-admin"
	}
	if abi32 {
		name += "-abi32" // which lets none in where there is no such instruction set
	}
	return name
}

// programs gives the filters of a process in the order of loading: the floor, and above it the one that was asked for.
// That one is from brigd, which may be conquered. It is a program, and nothing here reads it but for its length. What does
// one gain that was written with intent?
//
//   - No call that the floor refuses: the floor is loaded before it, and of two verdicts the kernel takes the more severe.
//   - No lie to a birth: it can let a call fail, or say that one was made which was not. Behind the filters plans have
//     capset and execve (TestNothingThatProtectsComesBehindTheFilters). With what is left undone execve computes the
//     capabilities from the bounding set, which was reduced before (TestFilterThatLiesGainsNothing).
//   - No listener but one that the container's caller could reach by himself, or brigd (listen); without, a verdict that
//     asks for one fails with ENOSYS. A listener decides about calls that neither the floor nor the default has refused: their
//     verdicts are the more severe ones, and when it lets a call go on, that is with the arguments that the filters have seen. A
//     verdict that asks for a tracer fails; one that the kernel does not know kills.
//   - No way into the kernel that a container does not have: whoever can run anything in one can load such a program onto
//     himself, and the kernel checks each: forward jumps, no memory but the call's data, a return at the end.
//
// It can keep its container from working, and fill the kernel's log; so can the program in the container.
func (f filters) programs(p *wire.Process) []plan.Filter {
	floor := floorFor(p.Capabilities.Permitted, p.ABI32)
	list := []plan.Filter{{Name: floor + "'s", Code: f[floor]}}
	if p.Filter == nil || p.Filter.Narrows {
		list = append(list, plan.Filter{Name: "default", Code: f["default"]})
	}
	if p.Filter == nil || len(p.Filter.Program) == 0 {
		return list
	}
	return append(list, plan.Filter{Name: "profile's", Code: p.Filter.Program, Flags: uintptr(p.Filter.Flags)})
}

// filterError gives a filter that the kernel does not take, and a profile or label that it does not have, the class of a
// wrong request; other errors stay as they are.
func filterError(err error) error {
	var step *plan.StepError
	if errors.As(err, &step) && step.Op != nil && (step.Op.Nr == unix.SYS_SECCOMP && step.Errno == unix.EINVAL ||
		step.Op.Nr == unix.SYS_WRITE && (step.Errno == unix.ENOENT || step.Errno == unix.EINVAL)) {
		return fmt.Errorf("%s: the kernel has, or accepts, no such thing: %w", step.Op.What, errdefs.ErrInvalidArgument)
	}
	return err
}
