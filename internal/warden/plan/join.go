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

// Join computes the entry into a running container: exec.
func Join(in JoinInput) (*Plan, error) {
	p := in.Process
	if err := checkProcess(p); err != nil {
		return nil, err
	}
	b := begin("root", in.Tasks)
	b.because("All of them in one call, of the process that the descriptor names and no other that got its pid.")
	b.do("enter the container's namespaces", unix.SYS_SETNS, Ref("<pid1>"),
		namespaces|unix.CLONE_NEWUSER|unix.CLONE_NEWNET|unix.CLONE_NEWCGROUP)
	b.because("Ids before the process that the container can see: its root must not own the engine's copy (T13).")
	b.become(0, 0)
	b.because("Only a new process is in the process namespace; it is the warden's child (CLONE_PARENT).")
	b.fork(0, "stage 1, a process of the container")
	b.session()
	b.because("After setns the root is the container's.")
	b.open("open the root", unix.AT_FDCWD, "/", openDir, 0).to(b.root)
	b.cwd(p.Cwd, false)
	b.stdio(p.Terminal)
	if err := b.program(p, &in.Host); err != nil {
		return nil, err
	}
	return &Plan{Title: "entry into a container: " + strings.Join(p.Args, " "), Ops: b.ops}, nil
}
