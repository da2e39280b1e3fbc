// Package listener is a program that decides about system calls (SCMP_ACT_NOTIFY), for tests: behind a unix socket, as the OCI
// runtime specification has it.
package listener

import (
	"encoding/json"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp/notify"
)

// Listener is one that serves until the test ends.
type Listener struct {
	t      testing.TB
	decide func(notify.Call) unix.Errno

	mu    sync.Mutex
	told  []specs.ContainerProcessState
	peers []uint32
	heard int
}

// New listens at path, for whom mode lets. decide gives 0 for a call that is to go on.
func New(t testing.TB, path string, mode os.FileMode, decide func(notify.Call) unix.Errno) *Listener {
	t.Helper()
	s, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l := &Listener{t: t, decide: decide}
	go func() {
		for {
			conn, err := s.AcceptUnix()
			if err != nil {
				return
			}
			go l.serve(conn)
		}
	}()
	return l
}

func (l *Listener) serve(conn *net.UnixConn) {
	defer conn.Close()
	text, control := make([]byte, 32<<10), make([]byte, 256)
	n, size, _, _, err := conn.ReadMsgUnix(text, control)
	if err != nil {
		l.t.Errorf("the listener is told nothing: %v", err)
		return
	}
	var told specs.ContainerProcessState
	if err := json.Unmarshal(text[:n], &told); err != nil {
		l.t.Errorf("the listener is told %q: %v", text[:n], err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) != 1 {
		l.t.Errorf("the listener got %d messages of descriptors: %v", len(messages), err)
		return
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		l.t.Errorf("the listener got the descriptors %v: %v", fds, err)
		return
	}
	var uid uint32
	raw, _ := conn.SyscallConn()
	_ = raw.Control(func(fd uintptr) {
		if c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = c.Uid
		}
	})
	l.mu.Lock()
	l.told, l.peers = append(l.told, told), append(l.peers, uid)
	l.mu.Unlock()
	defer unix.Close(fds[0])
	for {
		c, err := notify.Receive(fds[0])
		if err != nil {
			return // the container has ended
		}
		l.mu.Lock()
		l.heard++
		l.mu.Unlock()
		if errno := l.decide(c); errno != 0 {
			err = notify.Answer(fds[0], c, 0, errno)
		} else {
			err = notify.Continue(fds[0], c)
		}
		if err != nil {
			l.t.Errorf("answer: %v", err)
		}
	}
}

// Told is what it was told, of one process after the other, the ids of those who told it, and how many calls came.
func (l *Listener) Told() (told []specs.ContainerProcessState, peers []uint32, heard int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(told, l.told...), append(peers, l.peers...), l.heard
}
