// Package recorder notes which system calls containers make that are recorded (--record).
//
// Zone: brigd. Every program of such a container has a filter that leaves each call that would be allowed to a listener, which
// is here: it notes the number and has the kernel carry the call out. What a filter refuses it never hears of.
// Input: on a socket that nobody but brigd's own id reaches, what the warden says of each process that it has started, with the
// descriptor of its filter; then the numbers of calls, which the container chose.
// Output: sets of numbers.
//
// A container whose listener is gone has no system calls left: each fails with ENOSYS. So one that is recorded does not outlive
// its brigd, which says why (internal/daemon/container).
package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp/notify"
	"github.com/brig-engine/brig/internal/wire"
)

const (
	// most is above every number of a call; filters answer those beyond by themselves.
	most = 4096
	// mostFilters are those followed at once. Each takes a thread, of which brigd has a number that is bounded.
	mostFilters = 1024
)

// calls is what the programs of one container have called.
type calls [most]atomic.Bool

// Recorder is the listener of all containers that are recorded.
type Recorder struct {
	followed atomic.Int64

	mu   sync.Mutex
	sets map[string]*calls // by the container's id
}

// Listen begins to serve.
func Listen(dir string) (*Recorder, error) {
	path := filepath.Join(dir, wire.Recorder)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for system calls: %w", err)
	}
	r := &Recorder{sets: map[string]*calls{}}
	go func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				slog.Error("the recorder of system calls takes no more", "error", err)
				return
			}
			go r.serve(conn)
		}
	}()
	return r, nil
}

// serve answers for the processes of one filter.
func (r *Recorder) serve(conn *net.UnixConn) {
	id, fd, err := receive(conn)
	conn.Close()
	defer r.followed.Add(-1)
	switch n := r.followed.Add(1); {
	case err == nil && n > mostFilters:
		unix.Close(fd)
		err = fmt.Errorf("%d processes are recorded already", mostFilters)
	case err == nil:
		err = r.follow(r.set(id), fd)
		unix.Close(fd)
	}
	if err != nil && err != io.EOF { // a program that could not be executed is not spoken of
		slog.Error("system calls of a container are not recorded any more", "id", id, "error", err)
	}
}

// receive reads what the warden says of a process, and takes the descriptor of its filter.
func receive(conn *net.UnixConn) (id string, fd int, err error) {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	text, control := make([]byte, 4<<10), make([]byte, unix.CmsgSpace(4*4))
	n, size, flags, _, err := conn.ReadMsgUnix(text, control)
	if err != nil {
		return "", -1, err
	}
	var fds []int
	list, err := unix.ParseSocketControlMessage(control[:size])
	for _, m := range list {
		more, _ := unix.ParseUnixRights(&m)
		fds = append(fds, more...)
	}
	var state specs.ContainerProcessState
	if err == nil {
		err = json.Unmarshal(text[:n], &state)
	}
	if err == nil && (len(fds) != 1 || flags&unix.MSG_CTRUNC != 0 || !slices.Equal(state.Fds, []string{specs.SeccompFdName})) {
		err = fmt.Errorf("%d descriptors came, called %q", len(fds), state.Fds)
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return state.State.ID, -1, err
	}
	return state.State.ID, fds[0], nil
}

func (r *Recorder) set(id string) *calls {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sets[id] == nil {
		r.sets[id] = &calls{}
	}
	return r.sets[id]
}

// follow notes calls and lets them go on until the last process of the filter has ended.
func (r *Recorder) follow(set *calls, fd int) error {
	for {
		c, err := notify.Receive(fd)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if c.Number < most && !set[c.Number].Load() {
			set[c.Number].Store(true)
		}
		if err := notify.Continue(fd, c); err != nil {
			return err
		}
	}
}

// Calls are the numbers of what a container has called, in order.
func (r *Recorder) Calls(id string) (list []uint32) {
	r.mu.Lock()
	set := r.sets[id]
	r.mu.Unlock()
	for i := range most {
		if set != nil && set[i].Load() {
			list = append(list, uint32(i))
		}
	}
	return list
}

// Forget drops what is known of a container.
func (r *Recorder) Forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sets, id)
}
