package seccompjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
)

// MaxSize is the largest profile in bytes.
const MaxSize = 1 << 20

// Profile is a decoded profile. It does not change, so one value serves any number of containers.
type Profile struct {
	// base has what does not depend on conditions; syscalls become its rules.
	base     seccompspec.Profile
	syscalls []*moby.Syscall
	// recorded leaves every call that would be allowed to the listener.
	recorded bool
	compat   []string // allowed to i386 besides
}

// Host is what the conditions of a profile ask about.
type Host struct {
	Arch filter.Arch
	// Kernel is the version of the running kernel, 6 and 18 for 6.18.
	Kernel [2]uint64
	// Compat has the profile hold for calls of i386, too, on amd64. Otherwise they kill.
	Compat bool
	// Bounding is the capability bounding set of the container, a mask by capability number.
	Bounding uint64
}

// Default is Docker's default profile without calls that programs do not miss. What it lets who has a capability do stays.
func Default() *Profile {
	p, enosys := docker(), uint(unix.ENOSYS)
	missed := func(name string) bool { return !slices.Contains(absent, name) && !slices.Contains(withheld, name) }
	var list []*moby.Syscall
	for _, s := range p.syscalls {
		if s.Includes == nil || len(s.Includes.Caps) == 0 {
			s.Names = slices.DeleteFunc(slices.Clone(s.Names), func(name string) bool { return !missed(name) })
		}
		if len(s.Names) > 0 {
			list = append(list, s)
		}
	}
	p.compat = compat
	p.syscalls = append(list, &moby.Syscall{LinuxSyscall: specs.LinuxSyscall{Names: absent, Action: specs.ActErrno, ErrnoRet: &enosys}})
	return p
}

// Everything is a profile that allows all: what is recorded where others refuse.
func Everything() *Profile {
	return fromDocker(&moby.Seccomp{LinuxSeccomp: specs.LinuxSeccomp{DefaultAction: specs.ActAllow}})
}

// Recorded is the profile with every call that it allows left to a listener, and the others refused as they are. A profile
// with a listener of its own, or a tracer, has no room for another one.
func (p *Profile) Recorded(listener seccompspec.Listener) (*Profile, error) {
	trace := p.base.Default == specs.ActTrace || slices.ContainsFunc(p.syscalls, func(s *moby.Syscall) bool { return s.Action == specs.ActTrace })
	if p.base.Listener.Path != "" || trace {
		return nil, invalid(errors.New("a profile with a listener or a tracer cannot be recorded: the kernel has room for one. Leave --record out"))
	}
	r := *p
	r.base.Listener, r.recorded = listener, true
	return &r, nil
}

func docker() *Profile { return fromDocker(moby.DefaultProfile()) }

// fromDocker takes a profile that is known to be right.
func fromDocker(d *moby.Seccomp) *Profile {
	p, err := newProfile(d)
	if err != nil {
		panic(err)
	}
	return p
}

// absent are calls that kernels of a few years ago did not have: who uses them has an older way, and is told ENOSYS.
var absent = []string{
	"cachestat", // which pages of a file are in memory, shared by the containers of an image
	"listmount", "statmount", "getxattrat", "setxattrat", "listxattrat", "removexattrat",
	"futex_wait", "futex_wake", "futex_requeue", // no C library uses them
	"remap_file_pages", // emulated since 4.0
}

// withheld are refused with EPERM, as the rest is.
var withheld = []string{
	"process_vm_readv", "process_vm_writev", // another process's memory, which debuggers read by ptrace where it is allowed
	"name_to_handle_at", // half of the 2014 way out of a container
	"vmsplice",          // CVE-2008-0600, CVE-2020-29374
	"fanotify_mark",     // of no use without fanotify_init
	"process_mrelease", "epoll_ctl_old", "epoll_wait_old", "get_thread_area", "set_thread_area",
}

// compat are those of withheld that every program of i386 begins with: 64-bit kernels have them for these only.
var compat = []string{"get_thread_area", "set_thread_area"}

// Decode reads a profile. Unknown fields are errors: a misspelt condition would change what is allowed.
func Decode(b []byte) (*Profile, error) {
	if len(b) > MaxSize {
		return nil, invalid(fmt.Errorf("%d bytes, at most %d", len(b), MaxSize))
	}
	var d moby.Seccomp
	in := json.NewDecoder(bytes.NewReader(b))
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		return nil, invalid(err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, invalid(errors.New("more than one value"))
	}
	p, err := newProfile(&d)
	if err != nil {
		return nil, invalid(err)
	}
	return p, nil
}

func newProfile(d *moby.Seccomp) (*Profile, error) {
	base, err := seccompspec.New(&d.LinuxSeccomp)
	if err == nil {
		err = check(d)
	}
	if err != nil {
		return nil, err
	}
	return &Profile{base: *base, syscalls: d.Syscalls}, nil
}

func invalid(err error) error {
	return fmt.Errorf("seccomp profile: %w: %w", err, errdefs.ErrInvalidArgument)
}

// check looks at what only Docker's form has.
func check(d *moby.Seccomp) error {
	if len(d.Architectures) > 0 && len(d.ArchMap) > 0 {
		return errors.New("has both architectures and archMap; keep one")
	}
	if err := checkArchitectures(d); err != nil {
		return err
	}
	for i, s := range d.Syscalls {
		if s == nil {
			return fmt.Errorf("syscalls[%d] is null", i)
		}
		if s.Name != "" && len(s.Names) > 0 {
			return fmt.Errorf("syscalls[%d] has both name and names; keep one", i)
		}
		if s.Name == "" && len(s.Names) == 0 {
			return fmt.Errorf("syscalls[%d] names no system call", i)
		}
	}
	return nil
}

// applies evaluates the conditions of a rule: all of includes and none of excludes.
func applies(s *moby.Syscall, h Host) (bool, error) {
	if e := s.Excludes; e != nil {
		held, err := h.held(e.Caps)
		if err != nil {
			return false, err
		}
		if slices.Contains(e.Arches, string(h.Arch)) || held > 0 || e.MinKernel != nil && h.atLeast(e.MinKernel) {
			return false, nil
		}
	}
	if in := s.Includes; in != nil {
		held, err := h.held(in.Caps)
		if err != nil {
			return false, err
		}
		if len(in.Arches) > 0 && !slices.Contains(in.Arches, string(h.Arch)) || held < len(in.Caps) ||
			in.MinKernel != nil && !h.atLeast(in.MinKernel) {
			return false, nil
		}
	}
	return true, nil
}

func (h Host) atLeast(v *moby.KernelVersion) bool {
	return slices.Compare(h.Kernel[:], []uint64{v.Kernel, v.Major}) >= 0
}

// held counts the capabilities of names that the bounding set holds.
func (h Host) held(names []string) (int, error) {
	n := 0
	for _, name := range names {
		bit := slices.Index(capabilities[:], name)
		if bit < 0 {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		if h.Bounding&(1<<bit) != 0 {
			n++
		}
	}
	return n, nil
}

// capabilities by number (capabilities(7)).
var capabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}
