package api

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// run starts a process of the host.
func (f *fakeWarden) run(id string, s *wire.Process) (*fakeProc, error) {
	exe, err := lookPath(s.Args[0])
	if err != nil {
		return nil, err
	}
	p := &fakeProc{pidfd: -1, stdin: -1, master: -1, fifo: filepath.Join(f.dir, id), ended: make(chan struct{})}
	attr := &os.ProcAttr{Env: s.Env, Dir: "/", Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &p.pidfd}}
	if s.Terminal {
		err = p.terminal(attr, s)
	} else {
		err = p.pipes(attr, s.Stdin)
	}
	defer func() {
		for _, x := range attr.Files {
			x.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	if p.process, err = os.StartProcess(exe, s.Args, attr); err != nil {
		return nil, err
	}
	p.started = wire.Started{PID: p.process.Pid, StartedAt: time.Now().UnixNano(), Terminal: s.Terminal, Stdin: s.Stdin,
		Endpoint: &wire.Endpoint{Addr: netip.MustParseAddr("172.30.0.2"), PrefixLen: 16,
			Gateway: netip.MustParseAddr("172.30.0.1"), MAC: "02:42:ac:1e:00:02"}}
	f.mu.Lock()
	f.procs[id] = p
	delete(f.gone, id)
	delete(f.ends, id)
	f.mu.Unlock()
	go func() {
		p.state, _ = p.process.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *fakeProc) pipes(attr *os.ProcAttr, stdin bool) error {
	if err := errors.Join(os.RemoveAll(p.fifo), os.MkdirAll(p.fifo, 0o700)); err != nil {
		return err
	}
	for _, n := range []string{"in", "out", "err"} {
		if err := unix.Mkfifo(filepath.Join(p.fifo, n), 0o600); err != nil {
			return err
		}
		path, flags := filepath.Join(p.fifo, n), os.O_RDWR
		if n == "in" {
			if !stdin {
				path = "/dev/null"
			} else {
				hold, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err != nil {
					return err
				}
				// A reader of its own, so that the writers are exactly those who hold the write side.
				flags = os.O_RDONLY
				defer unix.Close(hold)
			}
		}
		x, err := os.OpenFile(path, flags, 0)
		if err != nil {
			return err
		}
		attr.Files = append(attr.Files, x)
		if n != "in" {
			// What was printed has to wait for a reader even when the process has ended.
			r, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
			if err != nil {
				return err
			}
			p.readers = append(p.readers, r)
		}
		if n == "in" && stdin {
			if p.stdin, err = unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *fakeProc) terminal(attr *os.ProcAttr, s *wire.Process) error {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	p.master = m
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	slave, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if s.Rows != 0 {
		if err := unix.IoctlSetWinsize(m, unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols}); err != nil {
			return err
		}
	}
	tty := os.NewFile(uintptr(slave), "tty")
	attr.Files = []*os.File{tty, tty, tty}
	attr.Sys.Setctty = true
	return nil
}

// handOver gives descriptors as the real warden does, at a start and again to a later brigd.
func (p *fakeProc) handOver() (wire.Reply, error) {
	dup := func(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }
	fd, err := dup(p.pidfd)
	if err != nil {
		return wire.Reply{}, err
	}
	fds := []int{fd}
	if p.started.Terminal {
		fd, err := dup(p.master)
		return wire.Reply{Body: p.started, FDs: append(fds, fd)}, err
	}
	open := func(name string, flags int) {
		fd, oerr := unix.Open(filepath.Join(p.fifo, name), flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		fds, err = append(fds, fd), errors.Join(err, oerr)
	}
	if p.started.Stdin {
		open("in", unix.O_WRONLY)
	}
	open("out", unix.O_RDONLY)
	open("err", unix.O_RDONLY)
	return wire.Reply{Body: p.started, FDs: fds}, err
}

func lookPath(name string) (string, error) {
	missing := &wire.Error{Class: "invalid_argument", Code: 127,
		Text: fmt.Sprintf("exec: %q: executable file not found in $PATH", name)}
	dirs := []string{"/usr/local/bin", "/usr/bin", "/bin"}
	if strings.Contains(name, "/") {
		dirs = []string{""}
	}
	for _, d := range dirs {
		p := filepath.Join(d, name)
		st, err := os.Stat(p)
		if err != nil {
			continue
		}
		if st.IsDir() || st.Mode()&0o111 == 0 {
			return "", &wire.Error{Class: "permission_denied", Code: 126, Text: fmt.Sprintf("exec: %q: permission denied", name)}
		}
		return p, nil
	}
	return "", missing
}
