package container

import (
	"cmp"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher waits for the ends of all processes with one goroutine: one per process would be most of what an idle container
// costs. Its epoll set is in the runtime's own. A thread that blocked on it would take its processor into the system call,
// and with it what had just become ready, until the runtime's watchman looks: 2 ms of each start.
type watcher struct {
	ep   *os.File
	conn syscall.RawConn // of it

	mu   sync.Mutex
	next int32
	on   map[int32]watched
}

type watched struct {
	pidfd int
	ended func()
}

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // or the runtime would not poll it
	}
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	w := &watcher{ep: os.NewFile(uintptr(fd), "epoll"), on: map[int32]watched{}}
	if w.conn, err = w.ep.SyscallConn(); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	go w.loop()
	return w, nil
}

// add takes pidfd over and calls ended, in a goroutine of its own, when the process has ended.
func (w *watcher) add(pidfd int, ended func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.next++; w.next <= 0 || w.on[w.next].ended != nil; w.next++ {
		if w.next < 0 {
			w.next = 0
		}
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: w.next}
	var failed error
	err := w.conn.Control(func(fd uintptr) { failed = unix.EpollCtl(int(fd), unix.EPOLL_CTL_ADD, pidfd, &ev) })
	if err = cmp.Or(err, failed); err != nil {
		unix.Close(pidfd)
		return fmt.Errorf("watch a process: %w", err)
	}
	w.on[w.next] = watched{pidfd, ended}
	return nil
}

func (w *watcher) loop() {
	events := make([]unix.EpollEvent, 64)
	for {
		var n int
		err := w.conn.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			w.forgetAll()
			return
		}
		for _, e := range events[:n] {
			w.fire(e.Fd)
		}
	}
}

func (w *watcher) fire(token int32) {
	w.mu.Lock()
	x, there := w.on[token]
	delete(w.on, token)
	w.mu.Unlock()
	if there {
		unix.Close(x.pidfd) // which takes it out of the epoll set
		go x.ended()
	}
}

func (w *watcher) close() { w.ep.Close() }

func (w *watcher) forgetAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.on {
		unix.Close(x.pidfd)
	}
	w.on = nil
}
