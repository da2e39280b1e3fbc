package plan

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// JoinInput is what the entry of a process into a running container is computed from. The descriptors that the plan
// wants are <pid1> (a pidfd), <tasksN>, <landlock>, and <stdin>, <stdout>, <stderr> or <tty>.
type JoinInput struct {
	Process *wire.Process
	Tasks   int
	Host
}

// namespaces that a container has of its own.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Join computes the entry into a running container: exec.
func Join(in JoinInput) (*Plan, error) {
	p := in.Process
	if err := checkProcess(p); err != nil {
		return nil, err
	}
	b := &builder{root: "root"}
	b.stage("stage 0, in the engine's namespaces")
	b.preamble()
	b.cgroups(in.Tasks)
	b.do("enter the container's namespaces", "All of them in one call, of the process that the descriptor names and no "+
		"other that got its pid.", "setns", res("<pid1>"), flags(spell(namespaces, cloneFlags()), namespaces))
	b.become(0, 0, "Ids before the process that the container can see: its root must not own the engine's copy (T13).")
	b.fork(0, "stage 1, a process of the container", "Only a new process is in the process namespace; it is the "+
		"warden's child (CLONE_PARENT).")
	b.session()
	b.do("open the root", "After setns the root is the container's.", "openat2", flags("AT_FDCWD", at(unix.AT_FDCWD)),
		str("/"), how(openDir, 0, 0), num(sizeofHow)).to("root")
	b.cwd(p.Cwd, false)
	b.stdio(p.Terminal)
	if err := b.program(p, &in.Host); err != nil {
		return nil, err
	}
	return &Plan{Title: "entry into a container: " + strings.Join(p.Args, " "), Ops: b.ops}, nil
}
