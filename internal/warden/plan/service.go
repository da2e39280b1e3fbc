package plan

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// ServiceInput is what the birth of one of Brig's own processes is computed from: brigd, brig-router, or a worker. The descriptors
// that the plan wants are <exe> (a sealed copy of the program), <fdN>, <tasksN>, <landlock>, <stdin>, <stdout>,
// <stderr>, and <userns> of a worker.
type ServiceInput struct {
	Args, Env []string
	// FDs is the number of descriptors that the program finds at 3, 4, ….
	FDs int
	// UID and GID: of the host, or of the worker's user namespace for a worker.
	UID, GID uint32
	// Worker: namespaces of its own, and a root that is empty. Otherwise the process stays in the engine's namespaces.
	Worker bool
	// View, of a worker, is what a container sees in place of the empty root: of one that does not run what its birth is
	// computed from, of one that runs an Input without a Spec (with <pid1>). The last descriptor is the root by itself.
	View *Input
	// Capabilities that the process keeps, in its user namespace: a mask; none but for what fills a volume, and brig-router.
	Capabilities uint64
	// Steady, for a process with an id of the host, are those of Capabilities that its bounding set holds: it starts with
	// more and gives that up by itself, for good.
	Steady uint64
	Host
}

// Copies of descriptors are out of the way from aside on.
const aside = 128

// Service computes the birth of a confined process of the engine itself.
func Service(in ServiceInput) (*Plan, error) {
	b := begin("root", &in.Host)
	if in.Worker {
		b.worker(&in)
	} else {
		// Not the directory that the engine was started in.
		b.do("enter the root directory", unix.SYS_CHDIR, "/")
	}
	b.session()
	b.stdio(false)
	b.rights(&in)
	b.unreadableAgain()
	b.descriptors(&in)
	b.unblock()
	// The containers' own slack is the kernel's default (T15).
	// The Go runtime's watchman wakes every 20 µs while the program runs: 1 ms later does as well.
	b.do("let timers be late", unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, 1_000_000)
	b.limits(in.Resources)
	// No program gains privileges by its file's mode or capabilities.
	b.do("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if in.Landlock {
		// The file system is closed to it, except what the ruleset names.
		b.do("close the file system by a Landlock domain", unix.SYS_LANDLOCK_RESTRICT_SELF, Ref("landlock"), 0)
	}
	b.seccomp(in.Filters)
	// The engine's own program, from a sealed copy in memory.
	b.do("execute the engine's own "+in.Args[0], unix.SYS_EXECVEAT, Ref("exe"), "", in.Args, in.Env, unix.AT_EMPTY_PATH).Kind = clone.Exec
	return &Plan{Title: "birth of a process of the engine: " + strings.Join(in.Args, " "), Ops: b.ops}, nil
}

// rights takes ids and gives up capabilities. Those that an id of the host keeps are ambient, so that they survive
// execution; the bounding set does not hold ambient ones back, and comes to hold less while nothing is lost yet.
func (b *builder) rights(in *ServiceInput) {
	bounding := in.Capabilities
	if !in.Worker {
		bounding = in.Steady
	}
	keeps := !in.Worker && in.Capabilities != 0
	if keeps {
		until := in.Capabilities | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
		// What is to be ambient becomes inheritable while the bounding set holds it; the others are for the steps to come.
		b.capset("make inheritable what is to be ambient", until, until, in.Capabilities)
	}
	// What is not in the bounding set cannot come back by any execve.
	b.bound(bounding, in.LastCap)
	if keeps {
		// Until capset sets exactly what was asked for.
		b.do("keep capabilities over the change of ids", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	}
	if !in.Worker {
		// An id that owns nothing but this process's own files.
		b.become("the service", in.UID, in.GID)
	}
	if !keeps {
		// What is left: nothing, except for what fills a volume.
		b.capset("give capabilities up", in.Capabilities, in.Capabilities, 0)
		return
	}
	// What is left: what the process starts with.
	b.capset("set the capabilities of the service", in.Capabilities, in.Capabilities, in.Capabilities)
	// Kept by a program of a user other than root.
	for n := range 64 {
		if in.Capabilities&(1<<n) != 0 {
			b.do("raise an ambient capability", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, n, 0, 0)
		}
	}
}

// worker puts the process into namespaces of its own, with a root that has nothing in it, or with what a container sees.
func (b *builder) worker(in *ServiceInput) {
	spaces := ForkArgs(namespaces | unix.CLONE_NEWNET)
	if in.View != nil && in.View.Spec == nil {
		// What the container sees, of the process that the descriptor names; no mount is made (CVE-2026-41568,
		// CVE-2026-42306), and its process namespace stays closed.
		b.do("enter the container's file systems", unix.SYS_SETNS, Ref("<pid1>"), unix.CLONE_NEWUSER|unix.CLONE_NEWNS)
		spaces &^= unix.CLONE_NEWNS
	} else {
		// One id of the host, and no other, exists in it.
		b.do("enter the worker's user namespace", unix.SYS_SETNS, Ref("<userns>"), unix.CLONE_NEWUSER)
	}
	// The one id of that namespace, before a process exists in it (T13).
	b.become("the worker", in.UID, in.GID)
	// A worker sees no process, mount, queue or name of the host, and no interface.
	b.fork(spaces, "process 1 of its namespace")
	// The namespace's root is the worker's own cgroup.
	b.do("leave the host's view of cgroups", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	switch {
	case in.View == nil:
		b.private()
		b.fresh("root", "tmpfs", inert|unix.MOUNT_ATTR_RDONLY)
		b.cover("mount the root", "root", "/")
		b.pivot(false)
		return
	case in.View.Spec != nil:
		b.root = "<root>"
		b.filesystem(in.View)
	}
	// The root file system by itself, for reading: what is mounted on it is no part of it.
	b.do("clone the root", unix.SYS_OPEN_TREE, unix.AT_FDCWD, "/", tree).To("bare")
	b.confine("bare", "the clone to reading", inert|unix.MOUNT_ATTR_RDONLY, 0)
	b.confine("<fd1>", "the changes to reading", inert|unix.MOUNT_ATTR_RDONLY, 0)
}

// descriptors places what the program was given at 3, 4, … and closes everything else at execve.
func (b *builder) descriptors(in *ServiceInput) {
	// The program finds exactly the descriptors that it was given, at 3, 4, …
	move := func(from, to Ref) {
		b.do("move a descriptor aside", unix.SYS_FCNTL, from, unix.F_DUPFD_CLOEXEC, aside).To(to)
	}
	move("<exe>", "exe")
	move("<sync>", "sync")
	if in.Landlock {
		move("<landlock>", "landlock")
	}
	given := in.FDs
	for i := range given {
		move(Ref(fmt.Sprintf("<fd%d>", i)), Ref(fmt.Sprintf("fd%d", i)))
	}
	if in.View != nil {
		move("bare", Ref(fmt.Sprintf("fd%d", given)))
		given++
	}
	b.do("close the others", unix.SYS_CLOSE_RANGE, 3, aside-1, 0)
	for i := range given {
		b.do("place a descriptor", unix.SYS_DUP3, Ref(fmt.Sprintf("fd%d", i)), 3+i, 0)
	}
}
