package birth

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
)

// Missing says that a program is not there. The words are those by which engines know the case and make exit status 127
// of it.
type Missing struct{ Program string }

func (e *Missing) Error() string {
	return fmt.Sprintf("exec: %q: executable file not found in $PATH", e.Program)
}

// Is makes it a case of fs.ErrNotExist.
func (e *Missing) Is(target error) bool { return target == fs.ErrNotExist }

// Running is a child that carries out a list.
type Running struct {
	PID   int
	child *clone.Child
	list  *List
	bound *calls.Linked
}

// Begin has child carry out the list, with the descriptors that it names, which stay the caller's. It returns when the
// child has made its last process.
func (l *List) Begin(child *clone.Child, given map[string]int) (*Running, error) {
	bound, err := l.Link()
	if err != nil {
		child.Kill()
		return nil, err
	}
	fds := make([]int, len(bound.Inputs))
	for i, name := range bound.Inputs {
		fd, ok := given[name]
		if !ok {
			child.Kill()
			return nil, fmt.Errorf("birth: descriptor <%s> was not prepared", name)
		}
		fds[i] = fd
	}
	r := &Running{child: child, list: l, bound: bound}
	if err := child.Start(bound.Program, fds); err != nil {
		return nil, r.explain(err)
	}
	r.PID = child.PID
	return r, nil
}

// Await waits until the child is at its next gate.
func (r *Running) Await() error {
	_, err := r.child.Await()
	return r.explain(err)
}

// Pass opens the gate.
func (r *Running) Pass() error { return r.explain(r.child.Pass()) }

// Offered has do see the descriptor that the child offers, before the child goes on: that of a filter with a listener.
func (r *Running) Offered(do func(fd int) error) error {
	r.child.Offered = do
	return r.explain(r.child.Take())
}

// Done waits until the program has been executed, and gives its pidfd; the caller reaps it.
func (r *Running) Done() (pidfd int, err error) {
	if err := r.child.Done(); err != nil {
		return -1, r.explain(err)
	}
	return r.child.Release(), nil
}

// Leave lets go of a child that waits for somebody else. It gives its pidfd.
func (r *Running) Leave() (pidfd int) { return r.child.Release() }

// Kill ends the child.
func (r *Running) Kill() { r.child.Kill() }

// Take gives a descriptor that the child shows.
func (r *Running) Take(number int) (int, error) {
	fd, err := unix.PidfdOpen(r.PID, 0) // our child, and not reaped
	if err != nil {
		return -1, fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(fd)
	taken, err := unix.PidfdGetfd(fd, number, 0)
	if err != nil {
		return -1, fmt.Errorf("take a descriptor of the container: %w", err)
	}
	return taken, nil
}

// explain says what failed, in the words by which engines tell a missing program from one that cannot be executed.
func (r *Running) explain(err error) error {
	if err == nil {
		return nil
	}
	err = r.bound.Explain(err)
	var step *calls.StepError
	if !errors.As(err, &step) || step.Cause != clone.Refused {
		return err
	}
	switch name := r.list.program0; {
	case r.list.search[step.Op] && step.Errno == unix.ENOENT && !strings.Contains(name, "/"):
		return &Missing{name}
	case r.list.search[step.Op] && step.Errno == unix.ENOENT:
		return fmt.Errorf("exec: %q: stat %s: %w", name, name, step.Errno)
	case r.list.search[step.Op] || r.list.execute[step.Op]:
		return fmt.Errorf("exec: %q: %w", name, step.Errno)
	}
	return err
}
