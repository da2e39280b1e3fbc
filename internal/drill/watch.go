package drill

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/drill/netns"
)

// watch measures the neighbour: requests to it one after the other, from a thread of its own that comes before everything
// else of the machine (SCHED_FIFO). What the drill itself waits for a processor, as one more program of the host beside what
// hogs it, is no harm to the neighbour. Nothing of Go's runtime is between a request and its answer: the calls block.
type watch struct {
	target netip.AddrPort
}

// watchFrom is a watch in the network namespace at path, on a thread that ends with it.
func watchFrom(path, target string, work func(w *watch)) error {
	at, err := netip.ParseAddrPort(target)
	if err != nil {
		return fmt.Errorf("where the neighbour serves: %w", err)
	}
	result := make(chan error, 1)
	go func() { // locked for ever: the thread is given up
		runtime.LockOSThread()
		if path != "" {
			if err := netns.Enter(path); err != nil {
				result <- err
				return
			}
		}
		// Some hosts allow nobody that: what is measured there is more than the neighbour.
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
		work(&watch{target: at})
		result <- nil
	}()
	return <-result
}

// request sends one and returns how long the answer took.
func (w *watch) request(text string) (time.Duration, error) {
	begin := time.Now()
	err := w.exchange("GET /"+text+" HTTP/1.0\r\n\r\n", begin.Add(askDeadline))
	return time.Since(begin), err
}

func (w *watch) exchange(text string, until time.Time) error {
	family, address := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(w.target.Port())})
	if a := w.target.Addr(); a.Is4() {
		address.(*unix.SockaddrInet4).Addr = a.As4()
	} else {
		family, address = unix.AF_INET6, &unix.SockaddrInet6{Port: int(w.target.Port()), Addr: a.As16()}
	}
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	if err := unix.Connect(s, address); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	if err := ready(s, unix.POLLOUT, until); err != nil {
		return err
	}
	if e, err := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
		return os.NewSyscallError("connect", errors.Join(err, unix.Errno(e)))
	}
	if _, err := unix.SendmsgN(s, []byte(text), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return os.NewSyscallError("send", err)
	}
	var line []byte
	for b := make([]byte, 256); !bytes.ContainsRune(line, '\n'); {
		if err := ready(s, unix.POLLIN, until); err != nil {
			return err
		}
		n, err := unix.Read(s, b)
		if err != nil || n == 0 {
			return fmt.Errorf("the neighbour's answer ends: %w", errors.Join(err, net.ErrClosed))
		}
		line = append(line, b[:n]...)
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.0 200")) {
		return fmt.Errorf("the neighbour answered %.40q", line)
	}
	return nil
}

// ready waits for a socket.
func ready(fd int, event int16, until time.Time) error {
	for {
		left := time.Until(until).Milliseconds() + 1
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: event}}, int(max(left, 0)))
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR:
			return os.NewSyscallError("poll", err)
		case left <= 0:
			return os.ErrDeadlineExceeded
		}
	}
}

// served is where the neighbour serves: at its own address if the host gets there. At a published port a program of the engine
// may stand in for it, whose delays are the engine's.
func (r *run) served() string {
	if r.door != "" || r.near.IP == "" {
		return cmp.Or(r.door, r.near.Published)
	}
	own := net.JoinHostPort(r.near.IP, strconv.Itoa(servePort))
	r.door = cmp.Or(r.near.Published, own)
	err := error(unix.ECONNREFUSED)
	for until := time.Now().Add(askDeadline); errors.Is(err, unix.ECONNREFUSED) && time.Now().Before(until); { // it does not serve yet
		time.Sleep(5 * time.Millisecond)
		werr := watchFrom(r.network, own, func(w *watch) { _, err = w.request("") })
		if err = errors.Join(werr, err); err == nil {
			r.door = own
		}
	}
	return r.door
}

// ask sends one request to the neighbour.
func (r *run) ask(text string) (took time.Duration, err error) {
	werr := watchFrom(r.network, r.served(), func(w *watch) { took, err = w.request(text) })
	return took, errors.Join(werr, err)
}

// latency asks until enough says so and returns the 99th percentile; a failed request counts as askDeadline.
func (r *run) latency(enough func(n int) bool) (p99 time.Duration, n int, failed []error) {
	var times []time.Duration
	err := watchFrom(r.network, r.served(), func(w *watch) {
		for !enough(n) && len(failed) <= 3 {
			took, err := w.request("")
			if err != nil {
				took, failed = askDeadline, append(failed, err)
			}
			// While one request waits, others would have come: a long wait counts once for each of them, or the worst
			// starvation would be a single sample among hundreds.
			for n++; took > 0; took -= pace {
				times = append(times, took)
			}
			unix.Poll(nil, int((pace / 2).Milliseconds()))
		}
	})
	if err != nil {
		failed = append(failed, err)
	}
	if len(times) == 0 {
		return 0, 0, failed
	}
	slices.Sort(times)
	return times[len(times)*99/100], n, failed
}
