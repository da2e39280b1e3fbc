package clone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
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
	state, err := newState(m)
	if err = errors.Join(err, posture()); err != nil {
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

// newState makes the memory that the spawner works with. The warden keeps its copy: a spawner is hardly ever replaced.
func newState(m *memory) (s *spawnerState, err error) {
	b, err := unix.Mmap(-1, 0, int(unsafe.Sizeof(*s)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	s = (*spawnerState)(unsafe.Pointer(&b[0]))
	s.memory, s.window, s.born = uintptr(m.fd), unsafe.Pointer(&m.window[0]), unsafe.Pointer(m.born)
	s.page = uintptr(unix.Getpagesize())
	s.everySignal, s.args.parentTID = ^uint64(0), uint64(uintptr(s.born))
	copy(s.name[:], "brig-spawner")
	s.iov = unix.Iovec{Base: (*byte)(unsafe.Pointer(&s.asked)), Len: uint64(unsafe.Sizeof(s.asked))}
	s.message = unix.Msghdr{Iov: &s.iov, Iovlen: 1, Control: &s.control[0]}
	return s, s.findIdle(m.base(), uintptr(s.born), uintptr(unsafe.Pointer(s)))
}

// findIdle notes what this process has mapped for itself alone and a spawner does not need: the Go heap and what the
// runtime knows of it. Each of their pages would be copied and given back at every fork. Memory around the addresses that
// are needed, files, and the variables behind the program's own, stay; so does what does not fit into the list.
func (s *spawnerState) findIdle(needed ...uintptr) error {
	maps, err := os.ReadFile("/proc/self/maps")
	if strings.Contains(string(maps), "/libc") { // whose memory the kernel writes to when it interrupts a thread (rseq)
		return nil
	}
	n, behind := 0, uintptr(0)
	for line := range strings.Lines(string(maps)) {
		var r memoryRange
		var mode, rest string
		fields, _ := fmt.Sscanf(line, "%x-%x %s %s %s %s %s", &r.at, &r.end, &mode, &rest, &rest, &rest, &rest)
		needs := func(a uintptr) bool { return r.at <= a && a < r.end }
		if fields == 7 { // it has a name
			behind = r.end
		} else if n < maxIdle && r.at != behind && strings.HasSuffix(mode, "p") && !slices.ContainsFunc(needed, needs) {
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
		s.end()
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
