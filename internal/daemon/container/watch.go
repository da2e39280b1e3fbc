package container

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// watcher waits for the ends of all processes with one thread: a thread or a goroutine per process would be most of
// what an idle container costs.
type watcher struct {
	ep, stop int

	mu   sync.Mutex
	next int32
	on   map[int32]watched
}

type watched struct {
	pidfd int
	ended func()
}

func newWatcher() (*watcher, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	w := &watcher{ep: ep, stop: stop, on: map[int32]watched{}}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, stop, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: 0}); err != nil {
		unix.Close(ep)
		unix.Close(stop)
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
	w.on[w.next] = watched{pidfd, ended}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: w.next}
	if err := unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, pidfd, &ev); err != nil {
		delete(w.on, w.next)
		unix.Close(pidfd)
		return fmt.Errorf("watch a process: %w", err)
	}
	return nil
}

func (w *watcher) loop() {
	events := make([]unix.EpollEvent, 64)
	for {
		n, err := unix.EpollWait(w.ep, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		for _, e := range events[:n] {
			if e.Fd == 0 {
				w.closeAll()
				return
			}
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

func (w *watcher) close() { _, _ = unix.Write(w.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (w *watcher) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.on {
		unix.Close(x.pidfd)
	}
	w.on = nil
	unix.Close(w.ep)
	unix.Close(w.stop)
}
