package clone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
)

// spawner is the warden's side of the process that forks for it.
type spawner struct {
	mu     sync.Mutex // one request at a time: an answer takes as long as a fork of a small process
	pid    int        // 0: there is none
	socket int
}

var theSpawner spawner

// errGone: there is no spawner any more, and it has forked nothing for this request.
var errGone = errors.New("the spawner was killed")

// Prepare starts the spawner. What the process is at this moment (capabilities, mounts, umask) is what its children
// begin with, and what memory it has is what each fork pays for. Without it the first Start does it.
func Prepare() error {
	theSpawner.mu.Lock()
	defer theSpawner.mu.Unlock()
	return theSpawner.start()
}

func (s *spawner) start() error {
	if s.pid != 0 {
		return nil
	}
	m, err := shared()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := posture(); err != nil {
		return fmt.Errorf("prepare the spawner: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket to the spawner: %w", err)
	}
	defer unix.Close(pair[1])
	asked, everySignal := &request{}, ^uint64(0)
	state := &spawnerState{socket: uintptr(pair[1]), memory: uintptr(m.fd), name: &[16]byte{}, window: unsafe.Pointer(&m.window[0]),
		everySignal: &everySignal, byDefault: &[4]uint64{}, asked: asked, answer: new(int64), born: unsafe.Pointer(m.born),
		args: &cloneArgs{parentTID: uint64(uintptr(unsafe.Pointer(m.born)))}}
	copy(state.name[:], "brig-spawner")
	iov := &unix.Iovec{Base: (*byte)(unsafe.Pointer(asked)), Len: uint64(unsafe.Sizeof(*asked))}
	state.message = &unix.Msghdr{Iov: iov, Iovlen: 1, Control: &make([]byte, controlSize)[0]}
	pid, errno := spawn(&cloneArgs{exitSignal: uint64(unix.SIGCHLD)}, state)
	runtime.KeepAlive(state)
	if errno != 0 {
		unix.Close(pair[0])
		return fmt.Errorf("fork the spawner: %w", errno)
	}
	s.pid, s.socket = int(pid), pair[0]
	return nil
}

// fork asks for a child and returns its pid. A spawner that somebody has killed is replaced.
func (s *spawner) fork(r request, fds []int) (pid int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 2 {
		if err := s.start(); err != nil {
			return 0, err
		}
		if pid, err = s.ask(r, fds); !errors.Is(err, errGone) {
			return pid, err
		}
	}
	return 0, err
}

func (s *spawner) ask(r request, fds []int) (pid int, err error) {
	m, err := shared()
	if err != nil {
		return 0, err
	}
	atomic.StoreUint32(m.born, 0)
	var b [8]byte
	n, ready := 0, -1
	err = unix.Sendmsg(s.socket, bytesOf(&r), unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
	if err == nil {
		ready, err = pidfd.Poll(Patience, s.socket)
	} else if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		return 0, fmt.Errorf("ask the spawner: %w", err)
	}
	if ready == 0 {
		n, _, err = unix.Recvfrom(s.socket, b[:], unix.MSG_DONTWAIT)
	}
	if n != len(b) {
		s.end()
		if pid := atomic.LoadUint32(m.born); pid != 0 { // and is our child, whoever made it
			return int(pid), nil
		}
		return 0, fmt.Errorf("%w: %w", errGone, errors.Join(err, unix.EPIPE))
	}
	answer := int64(binary.NativeEndian.Uint64(b[:]))
	if answer < 0 {
		return 0, fmt.Errorf("clone3: %w", unix.Errno(-answer))
	}
	return int(answer), nil
}

// end kills and reaps the spawner.
func (s *spawner) end() {
	unix.Close(s.socket)
	kill(s.pid)
	s.pid = 0
}

// kill ends and reaps a child, which was not reaped before: the number is its own.
func kill(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
