package seccompjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// MaxSize is the largest profile in bytes.
const MaxSize = 1 << 20

// Of what a listener is told and where it is; a path has to fit into struct sockaddr_un.
const (
	maxListenerPath     = 107
	maxListenerMetadata = 16 << 10
)

// Profile is a decoded profile. It does not change, so one value serves any number of containers.
type Profile struct {
	syscalls []*moby.Syscall
	action   specs.LinuxSeccompAction
	errno    *uint
	log      bool
	listener Listener
	// recorded leaves every call that would be allowed to the listener.
	recorded bool
	compat   []string // allowed to i386 besides
}

// Listener is who decides about the calls that a profile leaves to one (SCMP_ACT_NOTIFY).
type Listener struct {
	Path     string // of a unix socket of the host
	Metadata string // that it is told, and nobody else reads
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
func Everything() *Profile { return &Profile{action: specs.ActAllow} }

// Recorded is the profile with every call that it allows left to a listener, and the others refused as they are. A profile
// with a listener of its own, or a tracer, has no room for another one.
func (p *Profile) Recorded(listener Listener) (*Profile, error) {
	trace := p.action == specs.ActTrace || slices.ContainsFunc(p.syscalls, func(s *moby.Syscall) bool { return s.Action == specs.ActTrace })
	if p.listener.Path != "" || trace {
		return nil, invalid(errors.New("a profile with a listener or a tracer cannot be recorded: the kernel has room for one. Leave --record out"))
	}
	r := *p
	r.listener, r.recorded = listener, true
	return &r, nil
}

func docker() *Profile {
	d := moby.DefaultProfile()
	return &Profile{syscalls: d.Syscalls, action: d.DefaultAction, errno: d.DefaultErrnoRet}
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
	p := &Profile{syscalls: d.Syscalls, action: d.DefaultAction, errno: d.DefaultErrnoRet}
	if err := p.check(&d); err != nil {
		return nil, invalid(err)
	}
	return p, nil
}

// FromSpec takes the profile of an OCI configuration, where conditions have been resolved. The instruction sets that it
// names besides this machine's own are not filtered but refused.
func FromSpec(s *specs.LinuxSeccomp) (*Profile, error) {
	d := moby.Seccomp{LinuxSeccomp: *s}
	for i := range s.Syscalls {
		d.Syscalls = append(d.Syscalls, &moby.Syscall{LinuxSyscall: s.Syscalls[i]})
	}
	p := &Profile{syscalls: d.Syscalls, action: d.DefaultAction, errno: d.DefaultErrnoRet}
	if err := p.check(&d); err != nil {
		return nil, invalid(err)
	}
	return p, nil
}

func invalid(err error) error {
	return fmt.Errorf("seccomp profile: %w: %w", err, errdefs.ErrInvalidArgument)
}

func (p *Profile) check(d *moby.Seccomp) error {
	switch {
	case d.DefaultAction == "":
		return errors.New("defaultAction is missing (to run without a profile, say seccomp=unconfined)")
	case d.ListenerMetadata != "" && d.ListenerPath == "":
		return errors.New("listenerMetadata is for a listener, and listenerPath names none")
	case d.ListenerPath != "" && (!path.IsAbs(d.ListenerPath) || len(d.ListenerPath) > maxListenerPath || strings.ContainsRune(d.ListenerPath, 0)):
		return fmt.Errorf("listenerPath %q: the path of a unix socket is absolute and has at most %d bytes", d.ListenerPath, maxListenerPath)
	case len(d.ListenerMetadata) > maxListenerMetadata:
		return fmt.Errorf("listenerMetadata: %d bytes, at most %d", len(d.ListenerMetadata), maxListenerMetadata)
	case len(d.Architectures) > 0 && len(d.ArchMap) > 0:
		return errors.New("has both architectures and archMap; keep one")
	}
	p.listener = Listener{d.ListenerPath, d.ListenerMetadata}
	if err := checkArchitectures(d); err != nil {
		return err
	}
	for _, f := range d.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog:
			p.log = true
		case specs.LinuxSeccompFlagSpecAllow, "SECCOMP_FILTER_FLAG_TSYNC":
			// The first is always set; the second means the threads of a process that has only one.
		default:
			return fmt.Errorf("flag %q is not supported", f)
		}
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
