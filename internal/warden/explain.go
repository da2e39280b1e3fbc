package warden

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// containerPlan computes what a start would carry out, and carries nothing out. Of the host it looks at the sources of binds,
// as their caller would: whether they are files.
func (w *Warden) containerPlan(r *wire.Request, q wire.ContainerStart) (wire.Reply, error) {
	by, err := w.admit(r.FDs, &q)
	b := &birth{program: newProgram(w, nil, by, &q.Spec.Process, &process{}), spec: &q.Spec}
	for i := 0; i < len(q.Spec.Mounts) && err == nil; i++ {
		if m := &q.Spec.Mounts[i]; m.Kind == wire.MountBind {
			var src int
			if src, err = b.source(m); err == nil {
				err = b.noteFile(i, src)
				unix.Close(src)
			}
		}
	}
	if err == nil {
		b.host.Limits, err = b.limits()
	}
	if err != nil {
		return wire.Reply{}, err
	}
	b.labels(cmp.Or(b.want.Level, ownLevel(firstIDs))) // the first of those that a start may give
	b.host.Filters, b.host.Tasks = w.filters.programs(b.want), w.parent.Tasks()
	b.host.Landlock = w.facts.Landlock > 0 && !b.want.NoLandlock
	return answer(plan.Birth(plan.Input{Spec: b.spec, Files: b.fileMounts, Host: b.host}))
}

// views are the files of /proc that say how process 1 is confined, the links that say in which namespaces it is, and what
// its interfaces count: who had a descriptor of that one would keep the network alive.
var views = []string{"status", "limits", "mountinfo", "uid_map", "gid_map", "oom_score_adj", "net/dev",
	"ns/user", "ns/mnt", "ns/pid", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup"}

// containerView gives what the kernel says of process 1, for who holds it against what was asked for, or counts.
func (w *Warden) containerView(c *container, q wire.ContainerLook) (wire.Reply, error) {
	pid, view := strconv.Itoa(c.note.Started.PID), wire.ContainerView{}
	for _, name := range views {
		switch asked := slices.Contains(q.Names, name); {
		case asked && strings.HasPrefix(name, "ns/"):
			view[name], _ = os.Readlink("/proc/" + pid + "/" + name)
		case asked:
			view[name] = procText(pid, name, 256<<10)
		}
	}
	if done, err := pidfd.Ended(c.note.pidfd, 0); done || err != nil { // the number was process 1's when it was used
		return wire.Reply{}, fmt.Errorf("container %s is not running: %w", short(c.id), errors.Join(errdefs.ErrConflict, err))
	}
	return wire.Reply{Body: view}, nil
}
