package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/wire"
)

// Input is what a birth is computed from. The descriptors that the plan wants are <root>, <own>, <pts>, <shm>, <sys>,
// <userns> (or <pid1> of the container that is joined), <netns>, <tasksN>, <mountN>, <landlock>, <init> (the program of code.Read("init")), and <stdin>,
// <stdout>, <stderr> or <tty>.
type Input struct {
	Spec *wire.Spec
	// Files are the places in Spec.Mounts of those whose source is not a directory, so that the target is a file.
	Files []int
	Host
}

// Limits are what one program may use up by itself, and how soon the kernel ends it when memory is short.
type Limits struct {
	Resources   []Limit
	OOMScoreAdj string // "" is the engine's own
}

// Limit is a resource limit of setrlimit(2). Its hard value is above what a child begins with if it is to be raised.
type Limit struct {
	Name       string // for errors
	Kind       int    // RLIMIT_*
	Soft, Hard uint64
	Raise      bool
}

// Host is what a plan has to know about this host and what was prepared on it.
type Host struct {
	// Tasks is the number of cgroup v1 directories.
	Tasks   int
	Filters []Filter
	// ProcessLabel and MountLabel are SELinux's; "": there is none.
	ProcessLabel, MountLabel string
	// Landlock: the kernel has it, <landlock> is a ruleset.
	Landlock bool
	// LastCap is the highest capability number of this kernel.
	LastCap int
	Limits
	// ExecByFD: execveat of a descriptor gives the process its name (6.14); before, the checked path is executed.
	ExecByFD bool
	// Runtime is the process that makes the container in Brig's place, or what is executed in it, if there is one: see runtime.go.
	// <config> is what it reads.
	Runtime *wire.Process
}

// Birth computes the birth of a container.
func Birth(in Input) (*Plan, error) {
	if err := Check(in.Spec); err != nil {
		return nil, err
	}
	s := in.Spec
	b := begin("<root>", &in.Host)
	b.init = s.Init
	b.enter(&s.Join)
	// After the cgroup was entered: the namespace's root is the container's own cgroup, siblings are invisible (T14).
	b.do("leave the host's view of cgroups", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	b.session()
	b.filesystem(&in)
	b.hostname(s)
	p := cmp.Or(in.Runtime, &s.Process)
	b.cwd(p.Cwd, true)
	b.stdio(p.Terminal)
	// Nothing was executed yet that could use an endpoint that is not guarded.
	b.do("wait at the gate", unix.SYS_READ, Ref("<sync>"), []byte{0}, 1).Kind = clone.Gate
	if err := b.program(p, &in.Host); err != nil {
		return nil, err
	}
	return &Plan{Title: "birth of a container: " + strings.Join(p.Args, " "), Ops: b.ops}, nil
}

// enter takes the process into the sandbox, and forks it there, in new namespaces but for those that it shares.
func (b *builder) enter(j *wire.Join) {
	network := j.Namespaces&unix.CLONE_NEWNET != 0
	// All that follows happens with ids that mean nobody on the host.
	if j.Container == "" {
		b.do("enter the sandbox's user namespace", unix.SYS_SETNS, Ref("<userns>"), unix.CLONE_NEWUSER)
	} else {
		// All of them in one call, of the process that the descriptor names and no other that got its pid. The new mounts begin
		// as a copy of its mounts, not of the host's.
		b.do("enter the sandbox of the other container", unix.SYS_SETNS, Ref("<pid1>"),
			unix.CLONE_NEWUSER|unix.CLONE_NEWNS|j.Namespaces)
	}
	if !network {
		// It was made, and its endpoint prepared, before it was needed.
		b.do("enter the sandbox's network namespace", unix.SYS_SETNS, Ref("<netns>"), unix.CLONE_NEWNET)
	}
	// Before a process exists that the container could see (T13).
	b.become("the sandbox's root", 0, 0)
	if network {
		b.share("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
	}
	if j.Namespaces&unix.CLONE_NEWIPC != 0 {
		b.share("/dev/shm")
	}
	// Stage 1 is process 1 of its own process, mount, IPC and UTS namespaces, and the warden's child (CLONE_PARENT).
	b.fork(ForkArgs(namespaces&^j.Namespaces), "process 1 of the container")
}

// share takes what the other container sees at a path, with the rights of its root and inside its root; and with what is
// mounted below: nothing is uncovered, whatever was put there.
func (b *builder) share(paths ...string) {
	for _, p := range paths {
		b.open("open the other container's "+p, unix.AT_FDCWD, p[1:], unix.O_PATH, inRoot).To("theirs")
		b.do("clone the other container's "+p, unix.SYS_OPEN_TREE, Ref("theirs"), "", tree|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE).
			To(Ref("shared " + p))
	}
	b.shared = append(b.shared, paths...)
}

// Check holds a specification against what a plan can express.
func Check(s *wire.Spec) error {
	var paths []string
	for _, m := range s.Mounts {
		paths = append(paths, m.Target)
	}
	for _, f := range s.Files {
		paths = append(paths, f.Path)
	}
	for _, p := range paths {
		if err := checkPath(p); err != nil {
			return fmt.Errorf("mount on %q: %w", p, err)
		}
		for _, ours := range []string{"/proc", "/sys"} { // CVE-2023-27561, CVE-2019-16884, CVE-2025-52881
			if p == ours || strings.HasPrefix(p, ours+"/") {
				return fmt.Errorf("mount on %q: nothing may cover %s: %w", p, ours, unix.EPERM)
			}
		}
	}
	for _, p := range slices.Concat(s.MaskedPaths, s.ReadonlyPaths) {
		if err := checkPath(p); err != nil {
			return fmt.Errorf("protect %q: %w", p, err)
		}
	}
	return CheckProcess(&s.Process)
}

// maxDepth bounds the directories of a path: each that is missing is made by operations that name all before it.
const maxDepth = 128

// checkPath accepts absolute, clean paths other than the root.
func checkPath(p string) error {
	if len(p) < 2 || len(p) >= unix.PathMax || p[0] != '/' || strings.ContainsRune(p, 0) {
		return fmt.Errorf("not a path below /: %w", unix.EINVAL)
	}
	if strings.Count(p, "/") > maxDepth {
		return fmt.Errorf("more than %d directories deep: %w", maxDepth, unix.ENAMETOOLONG)
	}
	for part := range strings.SplitSeq(p[1:], "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("not a clean path: %w", unix.EINVAL)
		}
	}
	return nil
}

func (b *builder) hostname(s *wire.Spec) {
	// Names live in the container's own UTS namespace.
	if s.Hostname != "" {
		b.do("set the hostname", unix.SYS_SETHOSTNAME, s.Hostname, len(s.Hostname))
	}
	if s.Domainname != "" {
		b.do("set the domain name", unix.SYS_SETDOMAINNAME, s.Domainname, len(s.Domainname))
	}
}

// Join computes the entry of a process into a running container: exec. The descriptors that the plan wants are <pid1> (a
// pidfd), <tasksN>, <landlock>, and <stdin>, <stdout>, <stderr> or <tty>.
func Join(p *wire.Process, h *Host) (*Plan, error) {
	if err := CheckProcess(p); err != nil {
		return nil, err
	}
	b := begin("root", h)
	// All of them in one call, of the process that the descriptor names and no other that got its pid.
	b.do("enter the container's namespaces", unix.SYS_SETNS, Ref("<pid1>"),
		namespaces|unix.CLONE_NEWUSER|unix.CLONE_NEWNET|unix.CLONE_NEWCGROUP)
	// Before the process that the container can see: its root must not own the engine's copy (T13).
	b.become("the container's root", 0, 0)
	// Only a new process is in the process namespace; it is the warden's child (CLONE_PARENT).
	b.fork(0, "a process of the container")
	b.session()
	// After setns the root is the container's.
	b.open("open the root", unix.AT_FDCWD, "/", openDir, 0).To(b.root)
	b.cwd(p.Cwd, false)
	b.stdio(p.Terminal)
	if h.Runtime != nil {
		b.do("place the description of the process", unix.SYS_DUP3, Ref("<config>"), 3, 0)
	}
	if err := b.program(p, h); err != nil {
		return nil, err
	}
	return &Plan{Title: "entry into a container: " + strings.Join(p.Args, " "), Ops: b.ops}, nil
}
