package plan

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// ServiceInput is what the birth of one of Brig's own processes is computed from: brigd, brig-router, or a worker. The descriptors
// that the plan wants are <exe> (a sealed copy of the program), <fdN>, <tasksN>, <landlock>, <stdin>, <stdout>,
// <stderr>, and <userns>, <netns> of a worker.
type ServiceInput struct {
	Args, Env []string
	// FDs is the number of descriptors that the program finds at 3, 4, ….
	FDs   int
	Tasks int
	// UID and GID: of the host, or of the worker's user namespace for a worker.
	UID, GID uint32
	// Worker: namespaces of its own, and a root that is empty. Otherwise the process stays in the engine's namespaces.
	Worker bool
	// Capabilities that the process keeps, in its user namespace: a mask; none but for what fills a volume, and brig-router.
	Capabilities uint64
	// Steady, for a process with an id of the host, are those of Capabilities that its bounding set holds: it starts with
	// more and gives that up by itself, for good.
	Steady uint64
	Host
}

// most is more descriptors than any of our processes is given; copies of them are out of the way from aside on.
const (
	most  = 32
	aside = 128
)

// Service computes the birth of a confined process of the engine itself.
func Service(in ServiceInput) (*Plan, error) {
	switch {
	case len(in.Args) == 0:
		return nil, fmt.Errorf("plan: no program to execute: %w", unix.EINVAL)
	case in.FDs > most:
		return nil, fmt.Errorf("plan: %d descriptors: %w", in.FDs, unix.E2BIG)
	}
	b := &builder{root: "root"}
	b.stage("stage 0, in the engine's namespaces")
	b.preamble()
	b.cgroups(in.Tasks)
	if in.Worker {
		b.worker(&in)
	} else {
		b.do("enter the root directory", "Not the directory that the engine was started in.", "chdir", str("/"))
	}
	b.session()
	b.stdio(false)
	b.rights(&in)
	b.do("become unreadable", "A change of ids can make a process readable again (T13).", "prctl",
		flags("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE), num(0))
	b.descriptors(in.FDs, in.Landlock)
	b.unblock()
	b.sync = "sync"
	b.gate()
	b.do("set no_new_privs", "No program gains privileges by its file's mode or capabilities.", "prctl",
		flags("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS), num(1), num(0), num(0), num(0))
	if in.Landlock {
		b.do("enter a Landlock domain", "The file system is closed to it, except what the ruleset names.",
			"landlock_restrict_self", res("landlock"), num(0))
	}
	b.seccomp(in.Filters)
	op := b.do("execute "+in.Args[0], "The engine's own program, from a sealed copy in memory.", "execveat", res("exe"),
		str(""), list(in.Args), list(in.Env), flags("AT_EMPTY_PATH", unix.AT_EMPTY_PATH))
	op.kind = clone.Exec
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
		b.capset(until, until, in.Capabilities, "What is to be ambient becomes inheritable while the bounding set holds it; "+
			"the others are for the steps to come.")
	}
	for c := 0; c <= in.LastCap; c++ {
		if bounding&(1<<c) == 0 {
			b.do("drop a capability from the bounding set", "What is not in the bounding set cannot come "+
				"back by any execve.", "prctl", flags("PR_CAPBSET_DROP", unix.PR_CAPBSET_DROP), num(c))
		}
	}
	if keeps {
		b.do("keep capabilities over the change of ids", "Until capset sets exactly what was asked for.", "prctl",
			flags("PR_SET_KEEPCAPS", unix.PR_SET_KEEPCAPS), num(1))
	}
	if !in.Worker {
		b.become(in.UID, in.GID, "An id that owns nothing but this process's own files.")
	}
	if !keeps {
		b.capset(in.Capabilities, in.Capabilities, 0, "What is left: nothing, except for what fills a volume.")
		return
	}
	b.capset(in.Capabilities, in.Capabilities, in.Capabilities, "What is left: what the process starts with.")
	b.ambient(in.Capabilities)
}

// worker puts the process into namespaces of its own, with a root that has nothing in it.
func (b *builder) worker(in *ServiceInput) {
	b.do("enter the worker's user namespace", "One id of the host, and no other, exists in it.", "setns", res("<userns>"),
		flags("CLONE_NEWUSER", unix.CLONE_NEWUSER))
	b.do("enter the worker's network namespace", "It has no interface.", "setns", res("<netns>"),
		flags("CLONE_NEWNET", unix.CLONE_NEWNET))
	b.become(in.UID, in.GID, "The one id of that namespace, before a process exists in it (T13).")
	b.fork(unix.CLONE_NEWPID|unix.CLONE_NEWNS|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS, "stage 1, process 1 of its namespace",
		"A worker sees no process, mount, queue or name of the host.")
	b.do("leave the host's view of cgroups", "The namespace's root is the worker's own cgroup.", "unshare",
		flags("CLONE_NEWCGROUP", unix.CLONE_NEWCGROUP))
	b.private()
	b.fresh("root", "tmpfs", inert|unix.MOUNT_ATTR_RDONLY)
	b.park("root", "an empty root")
	b.parked = 0 // it is the root, nothing lies between
	b.pivot(false)
}

// descriptors places what the program was given at 3, 4, … and closes everything else at execve.
func (b *builder) descriptors(count int, landlock bool) {
	const why = "The program finds exactly the descriptors that it was given, at 3, 4, …"
	move := func(from, to string) {
		b.do("move a descriptor aside", why, "fcntl", res(from), flags("F_DUPFD_CLOEXEC", unix.F_DUPFD_CLOEXEC),
			num(aside)).to(to)
	}
	move("<exe>", "exe")
	move("<sync>", "sync")
	if landlock {
		move("<landlock>", "landlock")
	}
	for i := range count {
		move(fmt.Sprintf("<fd%d>", i), fmt.Sprintf("fd%d", i))
	}
	b.do("close the others", why, "close_range", num(3), num(aside-1), num(0))
	for i := range count {
		b.do("place a descriptor", why, "dup3", res(fmt.Sprintf("fd%d", i)), num(3+i), num(0))
	}
}
