package birth

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/oci/config"
)

// Input is what the birth of a container is computed from. The descriptors that the list wants are <root>, <bindN> of the
// mounts that are binds, <cgN>, <devN> in a user namespace, <userns>, <netns> and their kin of namespaces by path, <tasksN>,
// <fdN>, and <fifo> of a container that waits for start.
type Input struct {
	Spec        *specs.Spec
	Root        string // the host's path of the root file system, without links
	Mounts      []*config.Mount
	Files       map[int]bool // those of Mounts whose source is not a directory
	Hierarchies []Hierarchy  // what a mount of type cgroup shows
	Devices     []Device
	DevLinks    bool // /dev is made here, and not brought along
	Pts         bool // with a devpts
	MountLabel  string
	UserNS      bool // new or by path
	NoPivot     bool
	HostMounts  []string // with NoPivot: the host's proc and sys, in the order of their mounts
	NoKeyring   bool
	Wait        bool // at the FIFO
	Tasks       int  // number of cgroup v1 directories
	Process     Process
}

// Create computes the birth of a container.
func Create(in *Input) (*List, error) {
	l := newList("birth of a container: "+strings.Join(in.Process.Args, " "), "<root>")
	l.waits = in.Wait
	l.begin(in.Tasks, &in.Process)
	l.enter(in)
	l.session(in.NoKeyring)
	// Kept until the pivot: another proc could be anything.
	l.open("open /proc", unix.AT_FDCWD, "/proc", openDir, 0).To("hostproc")
	l.labelled(&in.Process)
	l.do("begin with no umask", unix.SYS_UMASK, 0)
	l.names(in.Spec)
	l.rootMount(in)
	l.mounts(in)
	l.devices(in)
	if in.Process.Terminal {
		l.terminal(&in.Process)
		l.console()
	}
	l.finish(in)
	l.gate("wait until what was built is accepted")
	l.sysctls(in.Spec.Linux.Sysctl)
	l.protect(in)
	cwd := in.Process.Cwd != "/"
	if cwd {
		l.target(in.Process.Cwd, false)
		l.open("enter the working directory "+in.Process.Cwd, l.root, in.Process.Cwd[1:], openDir, inRoot).To("cwd")
	}
	l.pivot(in)
	if cwd { // resolved below the root, so it is no directory of the host that a descriptor still names (CVE-2024-21626)
		l.do("enter the working directory "+in.Process.Cwd, unix.SYS_FCHDIR, calls.Ref("cwd"))
	}
	l.stdio(&in.Process)
	err := l.program(&in.Process, func() {
		l.gate("wait until the container is known")
		if in.Wait {
			// The FIFO was opened for both directions: it has a writer as long as this process waits (T18).
			l.do("wait for start", unix.SYS_READ, calls.Ref("<fifo>"), []byte{0}, 1)
		}
	})
	return l, err
}

// begin is stage 0 up to the namespaces. Until execve the process is a copy of brig-oci: nobody may read its memory (T13).
func (l *List) begin(tasks int, p *Process) {
	l.stage("stage 0, in the runtime's namespaces")
	l.do("become unreadable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	for i := range tasks { // a single-threaded process that writes 0 waits for no grace period
		l.do("enter a cgroup", unix.SYS_WRITE, calls.Ref(fmt.Sprintf("<tasks%d>", i)), "0", 1)
	}
	l.prepare(p)
}

// enter joins namespaces, and forks into new ones. The user namespace comes last of those that exist, since it takes the
// host's rights, and first of the new ones, which belong to it.
func (l *List) enter(in *Input) {
	fresh, root := 0, "process 1 of the container"
	for _, n := range in.Spec.Linux.Namespaces {
		switch flag := config.Flag(n.Type); {
		case n.Type == specs.UserNamespace:
		case n.Path != "":
			l.do("enter the namespace "+n.Path, unix.SYS_SETNS, calls.Ref("<"+config.File(n.Type)+"ns>"), flag)
		default:
			fresh |= flag
		}
	}
	// With the rights of the host: the container's root may not be allowed to get there. A new mount namespace takes the
	// directory along.
	l.do("go to the root file system "+in.Root, unix.SYS_CHDIR, in.Root)
	if in.UserNS {
		l.do("enter the user namespace", unix.SYS_SETNS, calls.Ref("<userns>"), unix.CLONE_NEWUSER)
		l.become("the container's root", 0, 0)
	}
	if fresh&unix.CLONE_NEWTIME != 0 {
		l.time(in.Spec.Linux.TimeOffsets)
	}
	if fresh&unix.CLONE_NEWCGROUP != 0 {
		// After the groups were entered: they are its root (T14).
		l.do("leave the host's view of cgroups", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	}
	flags := calls.ForkArgs(fresh &^ (unix.CLONE_NEWTIME | unix.CLONE_NEWCGROUP))
	l.do("make "+root, unix.SYS_CLONE3, flags, int(clone.ForkArgsSize)).Kind = clone.Fork
	l.stage("stage 1, " + root)
}

// time makes a time namespace, for the children, and sets its clocks.
func (l *List) time(offsets map[string]specs.LinuxTimeOffset) {
	l.do("make a time namespace", unix.SYS_UNSHARE, unix.CLONE_NEWTIME)
	for _, clock := range slices.Sorted(maps.Keys(offsets)) {
		what, text := "set the offset of the clock "+clock, fmt.Sprintf("%s %d %d", clock, offsets[clock].Secs, offsets[clock].Nanosecs)
		l.open(what, unix.AT_FDCWD, "/proc/self/timens_offsets", unix.O_WRONLY, 0).To("offsets")
		l.do(what, unix.SYS_WRITE, calls.Ref("offsets"), text, len(text))
	}
}

func (l *List) session(noKeyring bool) {
	l.do("start a session", unix.SYS_SETSID)
	if !noKeyring { // keys of the caller are not the container's (T15)
		l.do("join a keyring", unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0).Or(unix.ENOSYS)
	}
}

func (l *List) names(s *specs.Spec) {
	if s.Hostname != "" {
		l.do("set the hostname", unix.SYS_SETHOSTNAME, s.Hostname, len(s.Hostname))
	}
	if s.Domainname != "" {
		l.do("set the domain name", unix.SYS_SETDOMAINNAME, s.Domainname, len(s.Domainname))
	}
}

// sysctls are written through the host's proc, which shows each process its own namespaces, by a process in the container's:
// what the container has on /proc could be anything (CVE-2025-52881).
func (l *List) sysctls(values map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		what, file := "set sysctl "+name, name
		if !strings.Contains(name, "/") {
			file = strings.ReplaceAll(name, ".", "/")
		}
		l.open(what, calls.Ref("hostproc"), "sys/"+file, unix.O_WRONLY, noLinks|unix.RESOLVE_NO_XDEV).To("sysctl")
		l.do(what, unix.SYS_WRITE, calls.Ref("sysctl"), values[name], len(values[name]))
	}
}

// Entry is what the entry of a process into a running container is computed from. The descriptors that the list wants are
// <pid1> (a pidfd), <tasksN>, <fdN>, and <root> if Chroot.
type Entry struct {
	Namespaces int // those of the container that are not brig-oci's own
	Tasks      int
	Chroot     bool // the root was not pivoted to
	NoKeyring  bool
	Process    Process
}

// Exec computes the entry of a process into a running container.
func Exec(in *Entry) (*List, error) {
	l := newList("entry into a container: "+strings.Join(in.Process.Args, " "), "root")
	l.begin(in.Tasks, &in.Process)
	if in.Process.AppArmor+in.Process.SELinux != "" {
		// Before the container sees this process: who has CAP_SYS_PTRACE there could take the descriptor. A label that is
		// set for the next program is inherited by the fork.
		l.open("open /proc", unix.AT_FDCWD, "/proc", openDir, 0).To("hostproc")
		l.labelled(&in.Process)
		l.close("hostproc")
	}
	l.join(in.Namespaces, in.Chroot)
	l.session(in.NoKeyring)
	l.open("open the root", unix.AT_FDCWD, "/", openDir, 0).To(l.root)
	if in.Process.Cwd != "/" {
		what := "enter the working directory " + in.Process.Cwd
		l.open(what, l.root, in.Process.Cwd[1:], openDir, inRoot).To("cwd")
		l.do(what, unix.SYS_FCHDIR, calls.Ref("cwd"))
	}
	if in.Process.Terminal {
		l.terminal(&in.Process)
		l.gate("wait until the terminal is taken")
	}
	l.stdio(&in.Process)
	err := l.program(&in.Process, func() {})
	return l, err
}

// join enters the namespaces of the process that a descriptor names, and no other that got its pid, in one call.
func (l *List) join(namespaces int, chroot bool) {
	if namespaces != 0 {
		l.do("enter the container's namespaces", unix.SYS_SETNS, calls.Ref("<pid1>"), namespaces)
	}
	if namespaces&unix.CLONE_NEWUSER != 0 {
		l.become("the container's root", 0, 0)
	}
	if chroot {
		l.do("enter the root", unix.SYS_FCHDIR, calls.Ref("<root>"))
		l.do("change the root", unix.SYS_CHROOT, ".")
	}
	// Only a new process is in the process namespace.
	l.do("make a process of the container", unix.SYS_CLONE3, calls.ForkArgs(0), int(clone.ForkArgsSize)).Kind = clone.Fork
	l.stage("stage 1, a process of the container")
}

// Hook computes the entry of a createContainer hook: a program of the host, in the namespaces of a container whose root is
// not pivoted to yet. The descriptors that the list wants are <pid1>, <stdin> and <stderr>.
func Hook(namespaces int, file string, args, env []string) *List {
	l := newList("entry of a hook: "+file, "root")
	l.begin(0, &Process{})
	l.join(namespaces, false)
	l.stdio(&Process{Piped: true})
	const sigSetmask, sigsetSize = 2, 8
	l.do("unblock signals", unix.SYS_RT_SIGPROCMASK, sigSetmask, []uint64{0}, 0, sigsetSize)
	l.do("execute "+file, unix.SYS_EXECVE, file, args, env).Kind = clone.Exec
	return l
}
