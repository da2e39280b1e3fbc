package launch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/disk"
	"github.com/brig-engine/brig/internal/cli/launch/groups"
	"github.com/brig-engine/brig/internal/cli/launch/machine"
	"github.com/brig-engine/brig/internal/kernel/posture"
	"github.com/brig-engine/brig/internal/wire"
)

// ErrRunning says that there is nothing to start.
var ErrRunning = errors.New("an engine already runs there")

// longestSocket is what fits into an address (unix(7)).
const longestSocket = 107

// timerSlack is by how many nanoseconds a timer of the engine may be late; dist/systemd says the same.
const timerSlack = 1_000_000

// Start starts an engine and returns when it answers, or with the reason why it does not. With Foreground it does not
// return if it succeeds.
func Start(o Options) error {
	if os.Geteuid() != 0 {
		return errors.New("the engine is started by root. Next: sudo brig engine start")
	}
	if len(o.Socket) > longestSocket {
		return fmt.Errorf("--socket %s: the path of a socket has at most %d bytes. Next: give a shorter --run or --socket",
			o.Socket, longestSocket)
	}
	keeper, err := find("brig-keeper", o.Programs)
	if err != nil {
		return err
	}
	// On a thread that ends with this, since it takes what the engine's processes inherit.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- startKeeper(keeper, o)
	}()
	return <-started
}

func startKeeper(keeper string, o Options) error {
	if err := inherit(); err != nil {
		return err
	}
	if err := prepare(&o); err != nil {
		return err
	}
	unlock, err := lock(o.Run) // until this process becomes the keeper, if it does
	if err != nil {
		return err
	}
	defer unlock()
	// Nothing is prepared for an engine that runs: its wardens read what the start that made it has prepared.
	if pid, _ := keeperOf(o.Run); pid != 0 && o.Foreground {
		return fmt.Errorf("an engine already runs in %s. Next: brig engine status --run %[1]s", o.Run)
	} else if pid != 0 {
		return ErrRunning
	}
	var kind string
	if kind, o.Storage.Why, err = disk.Prepare(o.Root, !o.Storage.NoImage); err != nil {
		return err
	}
	where, err := machine.Prepare(groups.Instance(o.Root))
	if err != nil {
		return err
	}
	where.Disk = kind
	if err := machine.Directories(o.Root, o.Run, kind); err != nil {
		return err
	}
	loadProfiles(&where)
	if err := wire.WriteJSON(filepath.Join(o.Run, wire.MachineFile), where); err != nil {
		return err
	}
	if err := leave(o); err != nil {
		return err
	}
	args := []string{"brig-keeper", "--root", o.Root, "--run", o.Run, "--socket", o.Socket}
	if o.Foreground {
		return fmt.Errorf("execute %s: %w", keeper, syscall.Exec(keeper, args, os.Environ()))
	}
	return spawn(keeper, args, o)
}

// inherit gives this thread what the engine and its containers inherit, in place of what we have from who started us (T15).
// The umask of the command that needed an engine stays as it was.
func inherit() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("have an umask of its own: %w", err)
	}
	if err := posture.Set(); err != nil {
		return err
	}
	// No container inherits it: a Go runtime at work wakes every 20 µs otherwise.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0); err != nil {
		return fmt.Errorf("set the timer slack: %w", err)
	}
	return nil
}

// greetWithin is how long the greeting may take.
const greetWithin = 2 * time.Second

// find looks for a program of the engine: beside this one, or where packages put it.
func find(name, programs string) (string, error) {
	dirs := []string{"/usr/libexec/brig"}
	if programs != "" {
		dirs = []string{programs}
	} else if self, err := os.Executable(); err == nil {
		dirs = append([]string{filepath.Dir(self)}, dirs...)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is neither in %s. Next: install Brig completely", name, strings.Join(dirs, " nor in "))
}

// Exec turns this process into another of Brig's programs.
func Exec(name string, args ...string) error {
	path, err := find(name, "")
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, unix.Exec(path, append([]string{name}, args...), os.Environ()))
}

// lock lets one process at a time start an engine: two commands that both find none must not start two.
func lock(run string) (unlock func(), err error) {
	fd, err := unix.Open(filepath.Join(run, "start.lock"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", run, err)
	}
	for {
		if err = unix.Flock(fd, unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("lock %s: %w", run, err)
	}
	return func() { unix.Close(fd) }, nil
}

// spawn starts the keeper in a session of its own, with nothing of ours but its log and the pipe for one line.
func spawn(keeper string, args []string, o Options) error {
	logPath := filepath.Join(o.Run, "engine.log")
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := os.StartProcess(keeper, append(args, "--ready-fd", "3"), &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: []*os.File{null, log, log, w},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	w.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", keeper, err)
	}
	if err := awaitReady(r, logPath); err != nil {
		// A keeper that could not start ends by itself. One that is late is stopped: half an engine helps nobody.
		_ = p.Signal(syscall.SIGTERM)
		return err
	}
	greet(o.Socket)
	return p.Release()
}

// greet asks the new engine for a sign of life. Containers that come up with it and have paths or ports of the host wait
// for their user, whom the engine knows by a connection: root's is here. An engine that does not answer this goes on
// all the same, and the next command does what this one was for.
func greet(socket string) {
	c, err := net.DialTimeout("unix", socket, greetWithin)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(greetWithin))
	if _, err := io.WriteString(c, "GET /_ping HTTP/1.1\r\nHost: brig\r\nConnection: close\r\n\r\n"); err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 4096))
	}
}

// awaitReady reads the line that the keeper says when it knows how the start went.
func awaitReady(r *os.File, logPath string) error {
	if err := r.SetReadDeadline(time.Now().Add(readyWithin)); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	line = strings.TrimSpace(line)
	switch {
	case line == "ready":
		return nil
	case line != "":
		return errors.New(line)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the engine did not answer within %d seconds; its log is %s%s",
			readyWithin/time.Second, logPath, lastWords(logPath))
	}
	return fmt.Errorf("the engine ended before it was ready; its log is %s%s", logPath, lastWords(logPath))
}

// lastWords are the last lines of the log, at most 2 KiB.
func lastWords(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 2048
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(f, most))
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	text := strings.Join(lines[max(0, len(lines)-5):], "\n  ")
	if text == "" {
		return ""
	}
	return ":\n  " + text
}
