package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/wait"
	"github.com/brig-engine/brig/internal/wire"
)

// Deaths of the warden that are too many: five within ten seconds.
const (
	maxDeaths   = 5
	deathWindow = 10 * time.Second
	pause       = 100 * time.Millisecond
)

func newMountNamespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
}

// reap notes and reaps every child that has ended. It reports done when the warden ended as it was asked to.
func (k *keeper) reap() (done bool, err error) {
	for {
		pid := wait.Ended()
		if pid == 0 {
			return false, nil
		}
		if pid != k.warden {
			note(filepath.Join(k.Run, "exits"), pid)
			unix.Wait4(pid, nil, 0, nil)
			continue
		}
		var status unix.WaitStatus
		unix.Wait4(pid, &status, 0, nil)
		if status.Exited() && status.ExitStatus() == 0 || k.stopping {
			k.cleanup()
			return true, nil
		}
		if err := k.restart(status); err != nil {
			return false, err
		}
	}
}

// note writes how a process ended, before it is reaped, under its pid and start time: see wire.ExitNote.
func note(dir string, pid int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return
	}
	n, err := wire.ParseStat(string(stat))
	if err != nil {
		return
	}
	n.At = time.Now().UnixNano()
	name := filepath.Join(dir, n.Name())
	if os.WriteFile(name+".tmp", []byte(n.String()), 0o600) == nil {
		os.Rename(name+".tmp", name)
	}
}

// restart starts a new warden after the old one died, unless that happens all the time.
func (k *keeper) restart(status unix.WaitStatus) error {
	now := time.Now()
	recent := k.deaths[:0]
	for _, t := range k.deaths {
		if now.Sub(t) < deathWindow {
			recent = append(recent, t)
		}
	}
	k.deaths = append(recent, now)
	fmt.Fprintf(os.Stderr, "brig-keeper: the warden died (%s)\n", describe(status))
	if len(k.deaths) >= maxDeaths {
		return errors.New("the warden died five times in ten seconds; its last words are above. Next: brig doctor")
	}
	k.drain()
	time.Sleep(pause)
	return k.start()
}

// drain applies what the dead warden had sent: its connection ends when everything is read.
func (k *keeper) drain() {
	for {
		select {
		case m := <-k.messages:
			k.apply(m)
		case <-time.After(20 * time.Millisecond):
			return
		}
	}
}

func describe(s unix.WaitStatus) string {
	if s.Signaled() {
		return "signal " + s.Signal().String()
	}
	return fmt.Sprintf("status %d", s.ExitStatus())
}

// cleanup removes this process's own files.
func (k *keeper) cleanup() {
	os.Remove(k.Socket)
	os.Remove(filepath.Join(k.Run, "keeper.pid"))
}

// startTime is field 22 of /proc/PID/stat, which with the pid names a process for the life of the machine.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "0"
	}
	n, err := wire.ParseStat(string(b))
	if err != nil {
		return "0"
	}
	return fmt.Sprint(n.StartTime)
}

// notify tells systemd, if it started us (sd_notify(3)).
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if strings.HasPrefix(path, "@") {
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(state))
}
