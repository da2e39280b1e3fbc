package clone

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Patience is how long a child may take for what its parent waits for.
const Patience = 5 * time.Second

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
	// Step is the index in the program, the prologue included.
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

// Options of a start.
type Options struct {
	// Cgroup is a descriptor of the cgroup v2 directory that the child is born in; 0 is the parent's own.
	Cgroup int
	// Patience for each wait; 0 is the constant of that name.
	Patience time.Duration
}

// Child is a process that executes a program's list. It is used by one goroutine.
type Child struct {
	// PID is the child's pid in the caller's pid namespace (stage 1, if there are two). The child is not reaped before
	// Done or Kill have returned an error, so the number is safe to use until then.
	PID int

	program  *Program
	pidfd    int
	sync     int
	shared   []byte
	patience time.Duration
}

// Start forks a child that executes p, whose inputs are fds in the order of the declarations. It returns when the
// child has its own table of descriptors and, with two stages, when stage 1 exists. fds stay the caller's.
// The caller ends a Child by Done, Release or Kill.
func Start(p *Program, fds []int, o Options) (*Child, error) {
	if len(fds) != len(p.inputs) {
		return nil, fmt.Errorf("start a child: %d descriptors for %d inputs", len(fds), len(p.inputs))
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	shared, err := unix.Mmap(-1, 0, int(unsafe.Sizeof(page{})), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a child: share memory: %w", err), unix.Close(pair[0]),
			unix.Close(pair[1]))
	}
	c := &Child{program: p, pidfd: -1, sync: pair[0], shared: shared, patience: o.Patience}
	if c.patience == 0 {
		c.patience = Patience
	}
	all := append([]int{pair[1]}, fds...)
	first, err := descriptors.place(all)
	unix.Close(pair[1])
	if err != nil {
		c.close()
		return nil, err
	}
	err = c.fork(first, len(all), o.Cgroup)
	if err == nil {
		err = c.born()
	}
	if err != nil {
		c.kill() // before its descriptors are lent to another child
	}
	descriptors.giveBack(first, len(all))
	if p.stages > 1 && c.PID != 0 { // stage 1 may exist even if stage 0 was killed
		err = cmp.Or(err, c.adopt())
	}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// fork starts stage 0, whose count descriptors begin at first.
func (c *Child) fork(first, count, cgroup int) error {
	m := &machine{steps: unsafe.Pointer(&c.program.steps[0]), count: uintptr(len(c.program.steps)),
		page: unsafe.Pointer(&c.shared[0])}
	m.slots[Sync], m.slots[belowTable], m.slots[aboveTable] = uintptr(first), uintptr(first-1), uintptr(first+count)
	for i, s := range c.program.inputs {
		m.slots[s] = uintptr(first + 1 + i)
	}
	// The kernel writes the pidfd to the shared page: an address on the stack, kept as a number, would not follow
	// when the stack moves.
	if c.program.second != nil {
		c.program.second.parentTID = uint64(uintptr(unsafe.Pointer(&c.page().pid)))
	}
	args := &cloneArgs{flags: unix.CLONE_FILES | unix.CLONE_PIDFD, exitSignal: uint64(unix.SIGCHLD),
		pidfd: uint64(uintptr(unsafe.Pointer(&c.page().pidfd)))}
	if cgroup > 0 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(cgroup)
	}
	pid, errno := spawn(args, m)
	runtime.KeepAlive(m)
	runtime.KeepAlive(c)
	if errno != 0 {
		return fmt.Errorf("clone3: %w", errno)
	}
	c.PID, c.pidfd = int(pid), int(c.page().pidfd)
	return nil
}

// born waits until the child has its own table of descriptors.
func (c *Child) born() error {
	if c.program.stages == 1 {
		return c.Await()
	}
	ready, err := poll(c.patience, c.pidfd)
	if err != nil {
		return err
	}
	if ready < 0 {
		return c.failure(Late)
	}
	return nil
}

// adopt replaces stage 0, which has ended, by stage 1.
func (c *Child) adopt() error {
	if c.pidfd >= 0 {
		err := reap(c.pidfd)
		unix.Close(c.pidfd)
		c.pidfd = -1
		if err != nil {
			return fmt.Errorf("wait for stage 0: %w", err)
		}
	}
	c.PID = int(atomic.LoadUint32(&c.page().pid))
	if c.PID == 0 {
		return c.failure(Killed)
	}
	// Stage 1 is our child (CLONE_PARENT) and nobody else reaps it: the pid cannot mean another process.
	fd, err := unix.PidfdOpen(c.PID, 0)
	if err != nil {
		_ = unix.Kill(c.PID, unix.SIGKILL)
		go func(pid int) { _, _ = unix.Wait4(pid, nil, 0, nil) }(c.PID)
		return fmt.Errorf("pidfd_open %d: %w", c.PID, err)
	}
	c.pidfd = fd
	return nil
}

// PIDFD is the child's pidfd. It belongs to the Child until Release.
func (c *Child) PIDFD() int { return c.pidfd }

// Pass lets the child go through one gate, which it need not have reached.
func (c *Child) Pass() error {
	if err := unix.Sendto(c.sync, []byte{0}, unix.MSG_NOSIGNAL, nil); err != nil {
		if errors.Is(err, unix.EPIPE) {
			return c.failure(Killed)
		}
		return fmt.Errorf("let the child go on: %w", err)
	}
	return nil
}

// Await waits for one Notify of the child. After an error the child is still to be ended by Kill.
func (c *Child) Await() error {
	ready, err := poll(c.patience, c.sync, c.pidfd)
	switch {
	case err != nil:
		return err
	case ready < 0:
		return c.failure(Late)
	}
	var b [1]byte
	if n, _, err := unix.Recvfrom(c.sync, b[:], unix.MSG_DONTWAIT); err != nil || n == 0 {
		return c.failure(Killed)
	}
	return nil
}

// Done waits until the program has been executed, or until the list has ended in a child that executes none. An error
// means that this has not happened; the child is then dead and reaped.
func (c *Child) Done() error {
	for {
		ready, err := poll(c.patience, c.sync)
		if err == nil && ready < 0 {
			err = c.failure(Late)
		}
		if err != nil {
			c.end()
			return err
		}
		var b [16]byte
		n, _, err := unix.Recvfrom(c.sync, b[:], unix.MSG_DONTWAIT)
		if n == 0 || err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	step := int(atomic.LoadUint32(&c.page().step))
	last := step < c.program.Len() && (c.program.steps[step].Kind == Exec || step == c.program.Len()-1)
	if atomic.LoadUint32(&c.page().errno) == 0 && last {
		return nil
	}
	err := c.failure(Killed)
	c.end()
	return err
}

// Release hands the pidfd to the caller, who reaps the child, and frees the rest.
func (c *Child) Release() (pidfd int) {
	pidfd, c.pidfd = c.pidfd, -1
	c.close()
	return pidfd
}

// Kill ends the child, whatever it does, reaps it and frees everything.
func (c *Child) Kill() { c.end() }

// failure makes an error of what the child has noted, or of cause if it has noted no errno.
func (c *Child) failure(cause Cause) error {
	e := &StepError{Step: int(atomic.LoadUint32(&c.page().step)), Cause: cause}
	if errno := atomic.LoadUint32(&c.page().errno); errno != 0 {
		e.Cause, e.Errno = Refused, syscall.Errno(errno)
	}
	return e
}

func (c *Child) page() *page { return (*page)(unsafe.Pointer(&c.shared[0])) }

// end kills and reaps the child and frees everything.
func (c *Child) end() {
	c.kill()
	c.close()
}

// kill kills and reaps the child. A process that cannot die (it waits for a device) is reaped when it does.
func (c *Child) kill() {
	if pidfd := c.pidfd; pidfd >= 0 {
		c.pidfd = -1
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // ESRCH: it has ended by itself
		gone := func() {
			_ = reap(pidfd)
			unix.Close(pidfd)
		}
		if ready, err := poll(time.Second, pidfd); err == nil && ready == 0 {
			gone()
		} else {
			go gone()
		}
	}
}

func (c *Child) close() {
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
		c.pidfd = -1
	}
	if c.sync >= 0 {
		unix.Close(c.sync)
		c.sync = -1
	}
	if c.shared != nil {
		_ = unix.Munmap(c.shared)
		c.shared = nil
	}
}

// reap waits for the end of the process behind pidfd and removes it from the process table.
func reap(pidfd int) error {
	for {
		err := unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// poll waits until one of fds is readable or has ended and returns its place, or -1 when the time is over.
func poll(patience time.Duration, fds ...int) (int, error) {
	deadline := time.Now().Add(patience)
	set := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		set[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return -1, nil
		}
		n, err := unix.Poll(set, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return -1, fmt.Errorf("wait for the child: %w", err)
		}
		for i := range set {
			if n > 0 && set[i].Revents != 0 {
				return i, nil
			}
		}
	}
}
