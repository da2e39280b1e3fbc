package warden

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/rootfs"
	"github.com/brig-engine/brig/internal/wire"
)

// sandbox is what a container is born into: a range of ids with the user and network namespaces that it owns.
type sandbox struct {
	base     uint32
	endpoint *wire.Endpoint
	fds      map[string]int // the namespaces userns and netns, and the detached mounts own, pts, shm and sys
}

// ranges hands out ids round robin, so that a range is not used again soon after its container is gone.
type ranges struct {
	mu   sync.Mutex
	used map[uint32]int // by how many: containers that share namespaces share a range
	next uint32
}

const lastIDs = idmap.VolumeBase - idmap.Size

// newRanges begins anywhere, so that engines side by side, and one engine before and after a restart, are unlikely to use
// the same ids.
func newRanges() *ranges {
	return &ranges{used: map[uint32]int{}, next: firstIDs + rand.Uint32N((lastIDs-firstIDs)/idmap.Size+1)*idmap.Size}
}

// take returns the first id of a free range.
func (r *ranges) take() (uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range (lastIDs-firstIDs)/idmap.Size + 1 {
		base := r.next
		if r.next += idmap.Size; r.next > lastIDs {
			r.next = firstIDs
		}
		if r.used[base] == 0 {
			r.used[base] = 1
			return base, nil
		}
	}
	return 0, fmt.Errorf("all %d ranges of user ids are taken, by stopped containers too. Next: brig rm", (lastIDs-firstIDs)/idmap.Size+1)
}

// sandboxBase tells whether an id is the first of a sandbox's range.
func sandboxBase(id uint32) bool {
	return id >= firstIDs && id <= lastIDs && (id-firstIDs)%idmap.Size == 0
}

// hold counts who has a range: one that is in use can get more, and at 0 it is free.
func (r *ranges) hold(base uint32, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used[base] += more; r.used[base] <= 0 {
		delete(r.used, base)
	}
}

// fillPool keeps sandboxes ready for the network called bridge: a network namespace with its pair of interfaces takes
// longer than the rest of a start. Each costs a range, two descriptors and some 100 KB of the kernel's memory. They die with
// this process, and their endpoints with them.
func (w *Warden) fillPool() {
	for {
		if w.calm(); w.stopping.Load() {
			return
		}
		s, err := w.newSandbox(true, "")
		if err != nil {
			w.log("prepare a sandbox: %v", err)
			time.Sleep(5 * time.Second) // a start makes its own meanwhile, or says why it cannot
			continue
		}
		w.pool <- s
	}
}

// calm waits until no start is under way and what the last one made people wait for is over as well, but not for long:
// refilling takes processors from what somebody waits for.
func (w *Warden) calm() {
	for waited, quiet := 0, 0; waited < 40 && quiet < 2; waited++ {
		time.Sleep(time.Millisecond)
		if quiet++; len(w.starts) > 0 {
			quiet = 0
		}
	}
}

// pooled gives a prepared sandbox, or makes one if none is ready.
func (w *Warden) pooled() (*sandbox, error) {
	select {
	case s := <-w.pool:
		return s, nil
	default:
		return w.newSandbox(true, "")
	}
}

// newSandbox makes a sandbox with a range of its own, with an endpoint or with loopback alone.
func (w *Warden) newSandbox(endpoint bool, level string) (*sandbox, error) {
	base, err := w.ranges.take()
	if err != nil {
		return nil, err
	}
	s, err := w.sandboxAt(base, 0, endpoint, level)
	if err != nil {
		w.ranges.hold(base, -1)
	}
	return s, err
}

// sandboxAt makes a sandbox for a range that the caller holds, in a user namespace that has it unless within is 0, with files of
// an SELinux level, or of the range's own.
func (w *Warden) sandboxAt(base uint32, within int, endpoint bool, level string) (s *sandbox, err error) {
	user, net, route, err := idmap.NewSandbox(base, within)
	if err != nil {
		return nil, fmt.Errorf("namespaces of a sandbox: %w", err)
	}
	defer unix.Close(route)
	s = &sandbox{base: base, fds: map[string]int{"userns": user, "netns": net}}
	if endpoint {
		s.endpoint, err = w.router.newEndpoint(net, route)
	}
	for name, make := range map[string]func(base uint32, label string) (int, error){
		"own": rootfs.Own, "pts": rootfs.Pts, "sys": func(uint32, string) (int, error) { return rootfs.Sys(net) },
		"shm": func(base uint32, label string) (int, error) {
			return rootfs.Tmpfs(defaultShm, 0o1777, base, base, label)
		},
	} {
		if err == nil {
			s.fds[name], err = make(base, w.label(ownFiles, cmp.Or(level, ownLevel(base))))
		}
	}
	if err != nil {
		w.router.release(s.endpoint)
		wire.CloseAll(slices.Collect(maps.Values(s.fds)))
		return nil, err
	}
	return s, nil
}
