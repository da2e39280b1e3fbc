package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
)

// Deaths of the warden that are too many: five within ten seconds.
const (
	maxDeaths   = 5
	deathWindow = 10 * time.Second
	remembered  = time.Minute // for a warden that decides what it can do without
	pause       = 100 * time.Millisecond
)

// reap notes and reaps every child that has ended. It reports done when the warden ended as it was asked to.
func (k *keeper) reap() (done bool, err error) {
	for {
		pid, how := pidfd.EndedChild()
		switch {
		case pid == 0:
			return false, nil
		case pid != k.warden:
			note(filepath.Join(k.Run, "exits"), pid, how)
		case how.ExitCode() == 0 || k.stopping:
			os.Remove(k.Socket)
			os.Remove(filepath.Join(k.Run, "keeper.pid"))
			k.heard("the engine ended before it was ready. Next: brig doctor") // if it was, Ready is closed
			return true, nil
		}
		unix.Wait4(pid, nil, 0, nil)
		if pid == k.warden {
			if err := k.restart(how); err != nil {
				return false, err
			}
		}
	}
}

// note writes how a process ended, before it is reaped.
func note(dir string, pid int, how pidfd.Status) {
	start, err := wire.StartTime(pid)
	if err != nil {
		return
	}
	_ = wire.WriteJSON(filepath.Join(dir, wire.NoteName(pid, start)),
		wire.Exit{Code: how.ExitCode(), Signal: int(how.Signal), At: time.Now().UnixNano()})
}

// restart starts a new warden after the old one died, unless that happens all the time.
func (k *keeper) restart(how pidfd.Status) error {
	old := func(t time.Time) bool { return time.Since(t) >= remembered }
	k.deaths = append(slices.DeleteFunc(k.deaths, old), time.Now())
	fmt.Fprintf(os.Stderr, "brig-keeper: the warden died (exit code %d)\n", how.ExitCode())
	if n := len(k.deaths); n >= maxDeaths && time.Since(k.deaths[n-maxDeaths]) < deathWindow {
		return errors.New("the warden died five times in ten seconds; its last words are above. Next: brig doctor")
	}
	k.drain()
	time.Sleep(pause)
	return k.start()
}

// drain applies what the dead warden had sent. A child of it may still have its end of the connection open, so the
// connection is shut here: what is in it is read, then it ends.
func (k *keeper) drain() {
	if k.messages == nil {
		return
	}
	k.conn.Raw().CloseRead()
	for m := range k.messages {
		k.apply(m)
	}
}

// notify tells systemd, if it started us, that the engine serves (sd_notify(3)).
func notify() {
	path := os.Getenv("NOTIFY_SOCKET")
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if path != "" && err == nil { // x/sys writes a leading @ as the zero byte of an abstract name
		unix.Sendto(s, []byte("READY=1"), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: path})
	}
	unix.Close(s)
}
