package warden

import (
	"os"
	"path/filepath"
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
	beside := copier() // of one that runs there may be many
	more := copier()
	if ended, _ := pidfd.Ended(beside, 100*time.Millisecond); ended {
		t.Error("two copies of a container that runs do not go together")
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
