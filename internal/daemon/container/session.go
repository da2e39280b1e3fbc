package container

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// session is one run of a process, of a container or of an exec, from before its start to after its end: clients may
// attach before it starts, and wait for its end.
type session struct {
	hub      *hub
	terminal bool
	started  chan struct{} // closed when the process runs
	dying    chan struct{} // closed when it has ended, before anything is done about it (containers only)
	ended    chan struct{} // closed when it has ended, its output was taken, and its end was recorded

	// exit and failed are set before ended is closed. failed is why it never started.
	exit   wire.Exit
	failed error

	mu    sync.Mutex
	run   wire.Started
	stdin *os.File // write end of a pipe; with a terminal it is the terminal
	pty   *os.File // the master
	pumps []*pump
	wg    sync.WaitGroup
	// tellEnd asks the warden to close the writers of standard input that it and the keeper hold.
	tellEnd func()
}

func newSession(terminal bool) *session {
	return &session{hub: newHub(), terminal: terminal, started: make(chan struct{}), dying: make(chan struct{}),
		ended: make(chan struct{})}
}

// isDying tells whether the process has ended. It is asked, and becomes true, with the container's mu held.
func (s *session) isDying() bool {
	select {
	case <-s.dying:
		return true
	default:
		return false
	}
}

// streams is what the descriptors of wire.Started are.
type streams struct {
	pidfd     int
	files     []*os.File // the terminal; or stdin if there is one, stdout, stderr
	listeners []int
}

// sortFDs names the descriptors that came with a reply, and takes them over.
func sortFDs(st *wire.Started, fds []int) (s streams, err error) {
	defer func() {
		if err != nil {
			wire.CloseAll(fds)
		}
	}()
	n := 2
	if st.Terminal {
		n = 1
	} else if st.Stdin {
		n = 3
	}
	ports := len(st.Ports)
	if len(fds) != 1+n+ports {
		return s, fmt.Errorf("the warden sent %d descriptors instead of %d: %w", len(fds), 1+n+ports, errdefs.ErrInternal)
	}
	for _, fd := range fds[1 : 1+n] {
		if err := unix.SetNonblock(fd, true); err != nil {
			return s, fmt.Errorf("stdio: %w", err)
		}
	}
	s.pidfd, s.listeners = fds[0], fds[1+n:]
	for i, fd := range fds[1 : 1+n] {
		s.files = append(s.files, os.NewFile(uintptr(fd), fmt.Sprintf("stdio%d", i)))
	}
	return s, nil
}

// adopt starts the pumps. newPump makes one for stream 1 or 2.
func (s *session) adopt(st wire.Started, files []*os.File, newPump func(stream byte, f *os.File) *pump) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = st
	outs := files
	switch {
	case st.Terminal:
		// The master is read by the pump and written by clients, each through a descriptor of its own: the pump closes
		// its one when the last user of the terminal has gone.
		pty, err := duplicate(files[0])
		if err != nil {
			closeFiles(files)
			return fmt.Errorf("duplicate the terminal: %w", err)
		}
		s.pty, s.stdin = pty, pty
	case st.Stdin:
		s.stdin, outs = files[0], files[1:]
	}
	for i, f := range outs {
		p := newPump(byte(i+1), f)
		s.pumps = append(s.pumps, p)
		s.wg.Add(1)
		go func() { defer s.wg.Done(); p.run() }()
	}
	close(s.started)
	return nil
}

// duplicate gives a second descriptor, which does not block either (File.Fd would make both block).
func duplicate(f *os.File) (*os.File, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var ferr error
	err = rc.Control(func(old uintptr) { fd, ferr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, ferr); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// drain takes what the ended process left in its pipes.
func (s *session) drain() {
	s.hub.end()
	s.mu.Lock()
	pumps := s.pumps
	s.mu.Unlock()
	for _, p := range pumps {
		p.finish()
	}
	s.wg.Wait()
	s.closeStdin()
}

// end announces the end, to clients last: the caller has recorded it, so that they find it when they ask.
func (s *session) end(exit wire.Exit, failed error) {
	s.exit, s.failed = exit, failed
	s.hub.close()
	close(s.ended)
}

// input gives what clients type into; nil when the process reads nothing.
func (s *session) input() *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdin
}

func (s *session) closeStdin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdin != nil {
		s.stdin.Close()
		s.stdin, s.pty = nil, nil
	}
}

func (s *session) info() wire.Started {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// resize sets the size of the terminal.
func (s *session) resize(rows, cols uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pty == nil {
		return fmt.Errorf("it has no terminal that could be resized: %w", errdefs.ErrFailedPrecondition)
	}
	rc, err := s.pty.SyscallConn()
	if err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	var ierr error
	cerr := rc.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	if err := errors.Join(cerr, ierr); err != nil {
		return fmt.Errorf("resize the terminal: %w", err)
	}
	return nil
}

// setClose says how the process reads an end of file: closing our end is not enough, others hold the pipe open too. It
// is called before adopt, which lets clients type.
func (s *session) setClose(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellEnd = f
}

// endInput lets the process read an end of file.
func (s *session) endInput() {
	s.mu.Lock()
	tell, open := s.tellEnd, s.stdin != nil
	s.mu.Unlock()
	if !open || s.terminal {
		return
	}
	s.closeStdin()
	if tell != nil {
		tell()
	}
}
