package clone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
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
	born   *uint32 // see memory
}

var theSpawner spawner

// errGone: there is no spawner any more, and it has forked nothing for this request.
var errGone = errors.New("the spawner was killed")

// Prepare starts the spawner. What the process is at this moment (capabilities, mounts, umask), and what the calling thread
// is (priority, affinity; package posture), is what its children begin with, and what memory it has is what each fork pays
// for. Without it the first child does it, on any thread.
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
	state, err := newState(m)
	// The engine's own slack, which is more, is not the containers': they have the kernel's default (T15).
	if err = errors.Join(err, unix.Prctl(unix.PR_SET_TIMERSLACK, 50000, 0, 0, 0)); err != nil {
		return fmt.Errorf("prepare the spawner: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket to the spawner: %w", err)
	}
	defer unix.Close(pair[1])
	state.socket = uintptr(pair[1])
	pid, errno := spawn(&cloneArgs{exitSignal: uint64(unix.SIGCHLD)}, state)
	if errno != 0 {
		unix.Close(pair[0])
		return fmt.Errorf("fork the spawner: %w", errno)
	}
	s.pid, s.socket, s.born = int(pid), pair[0], m.born
	return nil
}

// newState prepares the memory that the spawner works with. The warden keeps its copy: a spawner is hardly ever replaced.
func newState(m *memory) (*spawnerState, error) {
	s := m.state
	*s = spawnerState{memory: uintptr(m.fd), window: unsafe.Pointer(&m.window[0]), born: unsafe.Pointer(m.born),
		page: uintptr(unix.Getpagesize()), everySignal: ^uint64(0)}
	s.args.parentTID = uint64(uintptr(s.born))
	copy(s.name[:], "brig-spawner")
	s.iov = unix.Iovec{Base: (*byte)(unsafe.Pointer(&s.asked)), Len: uint64(unsafe.Sizeof(s.asked))}
	s.message = unix.Msghdr{Iov: &s.iov, Iovlen: 1, Control: &s.control[0]}
	return s, s.findIdle(m.base(), uintptr(s.born), uintptr(unsafe.Pointer(s)))
}

// findIdle notes what this process has mapped and a spawner does not need: the Go heap, what the runtime knows of it, and all
// of the program but its code. Each mapping, and each page that was written to, would be copied and given back at every
// fork. The mappings with the addresses that are needed stay, and so does what does not fit into the list, and what code
// that was instrumented writes to.
func (s *spawnerState) findIdle(needed ...uintptr) error {
	info, _ := debug.ReadBuildInfo()
	maps, err := os.ReadFile("/proc/self/maps")
	// With a C library the kernel writes to memory of that when it interrupts a thread (rseq).
	if strings.Contains(string(maps), "/libc") || info == nil || strings.Contains(info.String(), "-cover=") ||
		strings.Contains(info.String(), "-race=") {
		return err
	}
	n := 0
	for line := range strings.Lines(string(maps)) {
		var r memoryRange
		var mode string
		fmt.Sscanf(line, "%x-%x %s", &r.at, &r.end, &mode)
		code := mode == "r-xp" && !strings.Contains(line, "[")
		needs := func(a uintptr) bool { return r.at <= a && a < r.end }
		if n < maxIdle && !code && !slices.ContainsFunc(needed, needs) {
			s.idle[n] = r
			n++
		}
	}
	return err
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
	atomic.StoreUint32(s.born, 0)
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
		End()
		if pid := atomic.LoadUint32(s.born); pid != 0 { // and is our child, whoever made it
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

// End kills and reaps the spawner, if there is one: for a process that goes on without, or ends while others go on.
func End() {
	for s := &theSpawner; s.pid != 0; s.pid = 0 {
		unix.Close(s.socket)
		kill(s.pid)
	}
}

// kill ends and reaps a child, which was not reaped before: the number is its own.
func kill(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	for err := error(unix.EINTR); err == unix.EINTR; {
		_, err = unix.Wait4(pid, nil, 0, nil)
	}
}
