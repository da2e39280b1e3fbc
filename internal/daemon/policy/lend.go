package policy

import (
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// Lent is what a container has that --volumes-from can give to another one.
type Lent struct {
	Spec    []wire.Mount
	Shown   []container.MountPoint
	Volumes []VolumeUse
	Images  []string
}

// volumesFrom takes the volumes and binds of other containers. What the request
// itself puts at a target stays; of two containers the later one wins, as in Docker.
func (m *mounts) volumesFrom(refs []string, lend func(string) (*Lent, error)) {
	for _, ref := range slices.Backward(refs) {
		name, mode, _ := strings.Cut(ref, ":")
		switch mode {
		case "", "rw", "ro", "z", "Z":
		default:
			m.invalid("--volumes-from", ref, "must be CONTAINER, CONTAINER:ro, :rw, :z or :Z")
			continue
		}
		if lend == nil || name == "" {
			m.invalid("--volumes-from", ref, "there is no such container")
			continue
		}
		from, err := lend(name)
		if err != nil {
			m.invalid("--volumes-from", ref, "%s", withoutClass(err))
			continue
		}
		m.images = append(m.images, from.Images...)
		for _, w := range from.Spec {
			if w.Kind != wire.MountTmpfs && !m.taken(w.Target) {
				w.Relabel = strings.Trim(mode, "rwo")
				m.borrow(w, from, mode != "ro")
			}
		}
	}
}

// borrow adds one mount of another container. Its volume is as it is: nothing of this image is copied into it.
func (m *mounts) borrow(w wire.Mount, from *Lent, writable bool) {
	w.Writable, w.Fill = w.Writable && writable, false
	for _, p := range from.Shown {
		if p.Destination != w.Target {
			continue
		}
		for _, v := range from.Volumes {
			held := slices.ContainsFunc(m.volumes, func(u VolumeUse) bool { return u.Name == v.Name })
			if p.Name == v.Name && !held {
				m.volumes = append(m.volumes, v)
			}
		}
		m.add("--volumes-from", w, p)
		return
	}
}
