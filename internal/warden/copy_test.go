package warden

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/wire"
)

// socket is the worker's end of a connection on which no job comes.
func (r *rig) socket() int {
	r.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	return pair[1]
}

// A conquered brigd gets no more from a copy than from a start: the same floor, the same question who asks, and nothing
// stays of what was refused.
func TestCopiesAreHeldAgainstTheFloor(t *testing.T) {
	r := newRig(t)
	image := r.busybox()
	bind := spec(image, "true")
	bind.Mounts = []wire.Mount{{Kind: wire.MountBind, Source: "/etc", Target: "/x"}}
	strong := spec(image, "true")
	strong.Process.Capabilities.Bounding = 1 << unix.CAP_SYS_ADMIN
	missing := spec(image, "true")
	missing.Mounts = []wire.Mount{{Kind: wire.MountVolume, Source: "none", Target: "/x"}}
	for name, c := range map[string]struct {
		q   wire.ContainerStart
		fds []int
	}{
		"a host path, nobody asks":            {wire.ContainerStart{ID: newID(), Spec: bind}, []int{r.socket()}},
		"a host path, a pair of sockets asks": {wire.ContainerStart{ID: newID(), Spec: bind}, []int{r.socket(), r.socket()}},
		"a capability":                        {wire.ContainerStart{ID: newID(), Spec: strong}, []int{r.socket()}},
		"an id that leads elsewhere":          {wire.ContainerStart{ID: "../../../../etc", Spec: spec(image, "true")}, []int{r.socket()}},
		"a volume that is not there":          {wire.ContainerStart{ID: newID(), Spec: missing}, []int{r.socket()}},
		"no socket":                           {wire.ContainerStart{ID: newID(), Spec: spec(image, "true")}, nil},
	} {
		if fds, err := r.try(wire.OpContainerCopy, c.q, nil, c.fds...); err == nil {
			t.Errorf("%s: allowed, %v", name, fds)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "root/containers/*/*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Of one root directory there are never two that write: a start, a removal and another copy end the worker.
func TestAStartEndsACopy(t *testing.T) {
	r := newRig(t)
	image, id := r.busybox(), newID()
	q := wire.ContainerStart{ID: id, Spec: spec(image, "sleep", "60")}
	copier := func() int { return r.call(wire.OpContainerCopy, q, nil, r.socket())[0] }
	gone := func(what string, fd int) {
		if ended, err := pidfd.Ended(fd, 5*time.Second); !ended || err != nil {
			t.Errorf("%s: the worker lives (%v)", what, err)
		}
		unix.Close(fd)
	}
	first := copier()
	second := copier()
	gone("another copy", first)
	p := r.run(id, q.Spec)
	gone("a start", second)
	opened := r.opens(fmt.Sprintf("/proc/%d/root", p.started.PID))
	beside := copier() // of one that runs there may be many
	more := copier()
	if ended, _ := pidfd.Ended(beside, 100*time.Millisecond); ended {
		t.Error("two copies of a container that runs do not go together")
	}
	if adj, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pidOf(t, more))); err != nil || string(adj) != "900\n" {
		t.Errorf("a worker's share of the host's memory is worth %q (%v): the kernel would end containers first", adj, err)
	}
	x := &running{r: r, fds: r.call(wire.OpExecStart, wire.ExecStart{ID: id, Exec: "x", Process: wire.Process{Args: []string{"true"},
		Env: []string{"PATH=/bin"}, Cwd: "/"}}, &wire.Started{})}
	x.output()
	r.call(wire.OpProcessFinish, wire.ProcessRef{ID: id, Exec: "x"}, &wire.Exit{})
	if n := opened(); n > 0 { // it may be one of a file system that the container brings along, and that does what it likes then
		t.Errorf("the root that a container chose was opened %d times for what was done in it", n)
	}
	r.call(wire.OpContainerSignal, wire.ContainerSignal{ID: id, Signal: int(unix.SIGKILL)}, nil)
	p.wait()
	r.call(wire.OpContainerRemove, wire.ContainerRef{ID: id}, nil)
	gone("a removal", beside)
	gone("a removal", more)
	if _, err := os.Stat(filepath.Join(r.dir, "root/containers", id[:2], id)); !errdefs.IsNotFound(err) && !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// pidOf asks the kernel for the number behind a pidfd.
func pidOf(t *testing.T, fd int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	m := regexp.MustCompile(`(?m)^Pid:\s+(\d+)$`).FindSubmatch(b)
	if err != nil || m == nil {
		t.Fatalf("%v in %s", err, b)
	}
	pid, _ := strconv.Atoi(string(m[1]))
	return pid
}

// opens counts how often a directory itself was opened, other than for its place alone (O_PATH), until it is asked.
func (r *rig) opens(dir string) func() int {
	r.t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, dir, unix.IN_OPEN|unix.IN_ONLYDIR)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { unix.Close(fd) })
	return func() (n int) {
		b := make([]byte, 64<<10)
		for got, _ := unix.Read(fd, b); got >= unix.SizeofInotifyEvent; {
			length := unix.SizeofInotifyEvent + int(b[12]) + int(b[13])<<8
			if length == unix.SizeofInotifyEvent { // without the name of something in it
				n++
			}
			b, got = b[length:], got-length
		}
		return n
	}
}

// While a worker may still be there the directory and the ids of a container are nobody else's: a failed copy, and a
// removal, end it first; and where it does not end they keep both.
func TestNothingIsFreeBeforeWhatCopiesHasEnded(t *testing.T) {
	w := newWarden(t)
	for _, dir := range []string{"trash", "containers"} {
		if err := os.MkdirAll(filepath.Join(w.cfg.Root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, hangs := range map[string]bool{"one that ends": false, "one that hangs": true} {
		base, err := w.ranges.take()
		if err != nil {
			t.Fatal(err)
		}
		c := w.locked(newID())
		c.mu.Unlock()
		if err := os.MkdirAll(w.directory(c.id), 0o700); err != nil {
			t.Fatal(err)
		}
		g, err := w.parent.Create("worker-1", wire.Resources{Memory: 64 << 20, Pids: 64})
		if err != nil {
			t.Fatal(err)
		}
		dir, tasks, err := g.Attach()
		if err != nil {
			t.Fatal(err)
		}
		worker := exec.Command("sleep", "60")
		worker.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: dir}
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		wire.CloseAll(append(tasks, dir))
		ended := make(chan error, 1)
		go func() { ended <- worker.Wait() }()
		c.copiers.Store("worker-1", nil)
		if hangs {
			c.copiers.Clear()
			c.copiers.Store("worker\x00", nil) // which no group can be called, so that it cannot be ended
		}
		b := &birth{program: program{w: w, c: c}, first: true, box: &sandbox{base: base}}
		err = b.undoRoot()
		if (w.ranges.used[base] != 0) != hangs || errdefs.IsConflict(err) != hangs || (err != nil) != hangs {
			t.Errorf("%s: the ids are in use: %v; error %v", name, w.ranges.used[base], err)
		}
		if _, err := os.Stat(filepath.Join(w.directory(c.id))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		select {
		case <-ended:
		case <-time.After(200 * time.Millisecond):
			if !hangs {
				t.Errorf("%s: it lives", name)
			}
		}
		w.removeGroup("worker-1")
	}
}
