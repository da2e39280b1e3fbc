package clone

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
)

// Patience is how long a child may take for what its parent waits for.
const Patience = 5 * time.Second

var patience = Patience // tests have less

// Cause says why a list did not end as it should.
type Cause uint8

const (
	// Refused: the kernel answered a step with an errno.
	Refused Cause = iota
	// Killed: the child died at a step: a signal, or a filter.
	Killed
	// Late: the child was not done with a step in time and has been killed.
	Late
)

// StepError is the failure of a step. errors.Is sees the errno.
type StepError struct {
	// Step is the index in the program.
	Step  int
	Cause Cause
	Errno syscall.Errno // of a refused step
}

func (e *StepError) Error() string { return fmt.Sprintf("step %d: %s", e.Step, e.Reason()) }

// Reason is the error without the step.
func (e *StepError) Reason() string {
	switch e.Cause {
	case Killed:
		return "the child was killed"
	case Late:
		return "not done in time, the child was killed"
	}
	return e.Errno.Error()
}

// Unwrap gives the errno.
func (e *StepError) Unwrap() error {
	switch {
	case e.Cause == Late:
		return unix.ETIMEDOUT
	case e.Errno != 0:
		return e.Errno
	}
	return nil
}

// Child is a process that executes a program's list. It is used by one goroutine.
type Child struct {
	// PID is the child's pid in the caller's pid namespace (stage 1, if there are two). The child is not reaped before
	// Done or Kill have returned an error, so the number is safe to use until then.
	PID int

	born sync.WaitGroup // until it is there
	err  error          // why it is not

	// Offered is given a copy of the descriptor that the list offers, while the child waits.
	Offered func(fd int) error

	program *Program
	memory  *memory
	cell    int // -1: given back
	used    int // bytes of it
	pidfd   int
	sync    int
}

// NewChild makes a child that waits for what it is to do, and does not wait for it: that can be prepared meanwhile. cgroup is
// a descriptor of the cgroup v2 directory that it is born in; 0 is the parent's own. The caller ends a Child by Done, Release
// or Kill.
func NewChild(cgroup int) *Child {
	m, err := shared()
	c := &Child{memory: m, err: err, cell: -1, pidfd: -1, sync: -1}
	if err == nil {
		c.born.Go(func() { c.err = c.fork(cgroup) })
	}
	return c
}

func (c *Child) fork(cgroup int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket to a child: %w", err)
	}
	defer unix.Close(pair[1])
	c.sync = pair[0]
	r, fds := request{}, []int{pair[1]}
	if cgroup > 0 {
		r.flags, r.cgroup, fds = unix.CLONE_INTO_CGROUP, fdGiven+1, append(fds, cgroup)
	}
	pid, err := theSpawner.fork(r, fds)
	if err != nil {
		return fmt.Errorf("make a child: %w", err)
	}
	return c.adopt(pid)
}

// Start has the child execute p, whose inputs are fds in the order of the declarations. With two stages it returns when
// stage 1 exists. fds stay the caller's. After an error the child is gone.
func (c *Child) Start(p *Program, fds []int) error {
	c.born.Wait()
	err := c.err
	if err == nil {
		err = c.tell(p, fds)
	}
	if err == nil && p.stages > 1 {
		err = c.second()
	}
	if err != nil {
		c.Kill()
	}
	return err
}

// tell gives the child its list.
func (c *Child) tell(p *Program, fds []int) error {
	if len(fds) != len(p.inputs) || len(fds) > maxInputs {
		return fmt.Errorf("%d descriptors for %d inputs of a child: %w", len(fds), len(p.inputs), unix.E2BIG)
	}
	c.program, c.cell = p, <-c.memory.free
	at, used, err := p.link(c.memory.cell(c.cell))
	if err != nil {
		return err
	}
	c.used = used
	r := request{offset: uint64(c.cell) * cellSize, length: uint64(used), machine: uint64(at)}
	if err = unix.Sendmsg(c.sync, bytesOf(&r), unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL); errors.Is(err, unix.EPIPE) {
		err = c.failure(Killed)
	}
	return err
}

// adopt opens the pidfd of a new child. It is ours (CLONE_PARENT) and nobody else reaps it: the pid cannot mean another
// process.
func (c *Child) adopt(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		go func(cell int) { // it is the child's until that is reaped
			kill(pid)
			c.memory.give(cell, c.used)
		}(c.cell)
		c.cell = -1
		return fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	c.PID, c.pidfd = pid, fd
	return nil
}

// second waits for the end of stage 0 and goes on with stage 1, which exists even if stage 0 was killed.
func (c *Child) second() error {
	ready, err := pidfd.Poll(patience, c.pidfd)
	if err == nil && ready < 0 {
		err = c.failure(Late)
		_ = pidfd.Signal(c.pidfd, unix.SIGKILL)
		_, _ = pidfd.Poll(time.Second, c.pidfd) // after that it makes no stage 1 any more
	}
	pid := int(atomic.LoadUint32(&c.page().pid))
	if pid == 0 && err == nil {
		err = c.failure(Killed)
	}
	if pid == 0 {
		return err
	}
	_, reapErr := pidfd.Wait(c.pidfd, false)
	unix.Close(c.pidfd)
	c.pidfd = -1
	return cmp.Or(c.adopt(pid), err, reapErr)
}

// Pass lets the child go through one gate, which it need not have reached.
func (c *Child) Pass() error {
	err := unix.Sendto(c.sync, []byte{0}, unix.MSG_NOSIGNAL, nil)
	if errors.Is(err, unix.EPIPE) {
		return c.failure(Killed)
	}
	return os.NewSyscallError("let the child go on", err)
}

// Await waits for one Gate or SendFD of the child, and returns the descriptor that was sent, or -1. After an error the
// child is still to be ended by Kill.
func (c *Child) Await() (fd int, err error) {
	ready, err := pidfd.Poll(patience, c.sync, c.pidfd)
	switch {
	case err != nil:
		return -1, err
	case ready < 0:
		return -1, c.failure(Late)
	}
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, size, flags, _, err := unix.Recvmsg(c.sync, data, control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return -1, c.failure(Killed)
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return -1, fmt.Errorf("take a descriptor of the child: %w", unix.EMFILE)
	}
	if size == 0 {
		return -1, nil
	}
	return int(binary.NativeEndian.Uint32(control[unix.CmsgLen(0):])), nil
}

// Take has Offered see what the child offers, and lets it go on. After an error the child is still to be ended by Kill.
func (c *Child) Take() error {
	page := c.page()
	for late := time.Now().Add(patience); atomic.LoadUint32(&page.offered) == 0; {
		if ended, _ := pidfd.Ended(c.pidfd, time.Millisecond); ended || time.Now().After(late) {
			return c.failure(Killed)
		}
	}
	fd, err := unix.PidfdGetfd(c.pidfd, int(page.offered), 0)
	if err == nil {
		err = c.Offered(fd)
		unix.Close(fd)
	}
	if err == nil {
		atomic.StoreUint32(&page.taken, 1)
	}
	return err
}

// Done waits until the program has been executed, or until the list has ended in a child that executes none. An error
// means that this has not happened; the child is then dead and reaped.
func (c *Child) Done() error {
	ready, err := pidfd.Poll(patience, c.sync) // it sends nothing any more: readable is the end of the file
	if err == nil && ready < 0 {
		err = c.failure(Late)
	}
	if err != nil {
		c.Kill()
		return err
	}
	step := int(atomic.LoadUint32(&c.page().step))
	last := step < c.program.Len() && (c.program.steps[step].Kind == Exec || step == c.program.Len()-1)
	if atomic.LoadUint32(&c.page().errno) == 0 && last {
		return nil
	}
	err = c.failure(Killed)
	c.Kill()
	return err
}

// Release hands the pidfd to the caller, who reaps the child, and frees the rest.
func (c *Child) Release() (fd int) {
	fd, c.pidfd = c.pidfd, -1
	c.close()
	return fd
}

// failure makes an error of what the child has noted, or of cause if it has noted no errno.
func (c *Child) failure(cause Cause) error {
	e := &StepError{Step: int(atomic.LoadUint32(&c.page().step)), Cause: cause}
	if errno := atomic.LoadUint32(&c.page().errno); errno != 0 {
		e.Cause, e.Errno = Refused, syscall.Errno(errno)
	}
	return e
}

func (c *Child) page() *page { return pageOf(c.memory.cell(c.cell)) }

// Kill ends the child, whatever it does, reaps it and frees everything. A process that cannot die (it waits for a
// device) is reaped when it does, and has its cell until then.
func (c *Child) Kill() {
	c.born.Wait()
	fd, cell := c.pidfd, c.cell
	c.pidfd, c.cell = -1, -1 // once
	if c.close(); fd < 0 {
		return
	}
	gone := func() {
		_, _ = pidfd.Wait(fd, false)
		unix.Close(fd)
		c.memory.give(cell, c.used)
	}
	_ = pidfd.Signal(fd, unix.SIGKILL) // ESRCH: it has ended by itself
	if ended, _ := pidfd.Ended(fd, time.Second); ended {
		gone()
	} else {
		go gone()
	}
}

func (c *Child) close() {
	unix.Close(c.sync) // of -1: nothing
	c.memory.give(c.cell, c.used)
	c.sync, c.cell = -1, -1
}
