package policy

import (
	"crypto/rand"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/volume"
	"github.com/brig-engine/brig/internal/wire"
)

// VolumeUse is a volume that a container uses; it is made when it is missing.
type VolumeUse struct {
	Name      string            `json:"name"`
	Anonymous bool              `json:"anonymous,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Options   map[string]string `json:"options,omitempty"`
}

// mounts collects what every spelling of a mount comes to: Binds, Mounts, Tmpfs and Volumes of the request, then the
// volumes of the image where the request put nothing.
type mounts struct {
	*collector
	spec    []wire.Mount
	shown   []container.MountPoint
	volumes []VolumeUse
	images  []string // ids
	find    func(ref string) (*image.Image, error)
	driver  string // HostConfig.VolumeDriver
	options func(name string) (map[string]string, bool)
	machine int64 // its memory in bytes
}

func (c *collector) mounts(in Input, ofDevices []wire.Mount) *mounts {
	r, ofImage := in.Request, in.Image.Config.Config.Volumes
	m := &mounts{collector: c, find: in.Images, driver: r.Host.VolumeDriver, options: in.VolumeOptions, machine: in.Host.MemoryTotal}
	c.refuse(m.driver != "" && m.driver != "local", "HostConfig.VolumeDriver=DRIVER", m.driver)
	for _, b := range r.Host.Binds {
		m.bindSpec(b)
	}
	for i := range r.Host.Mounts {
		m.mount(&r.Host.Mounts[i])
	}
	for _, target := range sortedKeys(r.Host.Tmpfs) {
		m.tmpfs(target, r.Host.Tmpfs[target])
	}
	for _, w := range ofDevices {
		m.bind("--device", w, "ro")
	}
	m.volumesFrom(r.Host.VolumesFrom, in.Lend)
	for _, target := range sortedKeys(r.Config.Volumes) { // docker-py lists the targets of Binds here, too
		if t, ok := cleanTarget(target); !ok || !m.taken(t) {
			m.anonymous("-v", target)
		}
	}
	for _, target := range sortedKeys(ofImage) {
		if t, ok := cleanTarget(target); ok && !m.taken(t) {
			m.anonymous("VOLUME of the image", target)
		}
	}
	slices.SortStableFunc(m.spec, func(a, b wire.Mount) int {
		return strings.Count(a.Target, "/") - strings.Count(b.Target, "/")
	})
	return m
}

// bindSpec reads SOURCE:TARGET[:OPTIONS]: a source with a slash at its beginning is a host path, else a volume.
func (m *mounts) bindSpec(s string) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" {
		m.invalid("-v", s, "must be SOURCE:TARGET or SOURCE:TARGET:OPTIONS")
		return
	}
	w := wire.Mount{Source: parts[0], Target: parts[1], Writable: true, Exec: true, Recursive: true}
	opts := ""
	if len(parts) == 3 {
		opts = parts[2]
	}
	fill := true
	for o := range strings.SplitSeq(opts, ",") {
		switch o {
		case "", "rw", "rprivate", "private", "consistent", "cached", "delegated":
		case "shared", "rshared", "slave", "rslave":
			m.refuse(true, "HostConfig.Binds=shared", s)
			return
		case "ro":
			w.Writable = false
		case "nocopy":
			fill = false
		case "z", "Z":
			if w.Relabel != "" && w.Relabel != o {
				m.invalid("-v", s, "z and Z exclude each other: all containers may use it, or this one alone")
			}
			w.Relabel = o // on a host without SELinux there is nothing to do, as with Docker
		default:
			m.invalid("-v", s, "%s is no option of a volume; ro, rw, nocopy, z and Z are", clip(o))
			return
		}
	}
	if strings.HasPrefix(w.Source, "/") {
		if !fill {
			m.invalid("-v", s, "nocopy is for volumes")
		}
		m.bind("-v", w, opts)
		return
	}
	w.Recursive = false
	w.Fill = fill
	m.volume("-v", w, VolumeUse{Name: w.Source}, opts)
}

func (m *mounts) mount(x *mount.Mount) {
	desc := "type=" + string(x.Type) + ",target=" + x.Target
	m.refuse(x.ClusterOptions != nil, "HostConfig.Mounts[].ClusterOptions", desc)
	switch x.Consistency {
	case "", mount.ConsistencyDefault, mount.ConsistencyFull, mount.ConsistencyCached, mount.ConsistencyDelegated:
		// All of them are fulfilled by full consistency.
	default:
		m.invalid("--mount", desc, "consistency %s does not exist", clip(string(x.Consistency)))
	}
	for _, o := range []struct {
		set bool
		of  mount.Type
	}{
		{x.BindOptions != nil, mount.TypeBind}, {x.VolumeOptions != nil, mount.TypeVolume},
		{x.TmpfsOptions != nil, mount.TypeTmpfs}, {x.ImageOptions != nil, mount.TypeImage},
	} {
		if o.set && o.of != x.Type {
			m.invalid("--mount", desc, "options of a %s mount", o.of)
			return
		}
	}
	w := wire.Mount{Source: x.Source, Target: x.Target, Writable: !x.ReadOnly}
	switch x.Type {
	case mount.TypeBind:
		m.mountBind(desc, w, x.BindOptions)
	case mount.TypeVolume:
		m.mountVolume(desc, w, x.VolumeOptions)
	case mount.TypeTmpfs:
		m.mountTmpfs(desc, w, x.TmpfsOptions)
	case mount.TypeImage:
		m.mountImage(desc, w, x.ImageOptions)
	default:
		m.refuse(true, "HostConfig.Mounts[].Type=TYPE", desc)
	}
}

func (m *mounts) mountBind(desc string, w wire.Mount, o *mount.BindOptions) {
	w.Exec, w.Recursive = true, true
	if o != nil {
		w.Recursive = !o.NonRecursive
		p := o.Propagation
		m.refuse(p != "" && p != mount.PropagationRPrivate && p != mount.PropagationPrivate,
			"HostConfig.Mounts[].BindOptions.Propagation=shared", desc+",bind-propagation="+clip(string(p)))
		m.refuse(o.CreateMountpoint, "HostConfig.Mounts[].BindOptions.CreateMountpoint", desc+",bind-create-src")
		m.refuse(o.ReadOnlyNonRecursive, "HostConfig.Mounts[].BindOptions.ReadOnlyNonRecursive",
			desc+",bind-recursive=writable")
		if o.ReadOnlyForceRecursive && w.Writable {
			m.invalid("--mount", desc+",bind-recursive=readonly", "is for a mount with readonly")
		}
	}
	m.bind("--mount", w, "")
}

func (m *mounts) mountVolume(desc string, w wire.Mount, o *mount.VolumeOptions) {
	use := VolumeUse{Name: w.Source}
	w.Exec, w.Fill = true, true
	if o != nil {
		w.Fill = !o.NoCopy
		use.Labels = o.Labels
		const at = "HostConfig.Mounts[].VolumeOptions."
		if o.Subpath != "" {
			w.Subpath, w.Fill = m.subpath(desc+",volume-subpath=", o.Subpath), false
		}
		if d := o.DriverConfig; d != nil {
			m.refuse(d.Name != "" && d.Name != "local", at+"DriverConfig.Name=DRIVER", desc+",volume-driver="+clip(d.Name))
			use.Options = d.Options
		}
	}
	if use.Name == "" {
		use.Name, use.Anonymous = newVolumeName(), true
	}
	w.Source = use.Name
	m.volume("--mount", w, use, "")
}

// mountImage is always for reading, and all of it has the ids of the container.
func (m *mounts) mountImage(desc string, w wire.Mount, o *mount.ImageOptions) {
	if m.find == nil {
		m.find = func(string) (*image.Image, error) { return nil, errdefs.ErrNotFound }
	}
	if w.Source == "" {
		m.invalid("--mount", desc, "source is missing: it is an image")
		return
	}
	img, err := m.find(w.Source)
	if err != nil { // not "not found", which clients take for the image of the container, and pull
		m.invalid("--mount", desc, "there is no image %s. Next: brig pull", clip(w.Source))
		return
	}
	p := container.MountPoint{Type: mount.TypeImage, Name: w.Source, Source: img.ID}
	w.Kind, w.Source, w.Writable, w.Exec = wire.MountImage, img.Index, false, true
	if o != nil && o.Subpath != "" {
		w.Subpath = m.subpath(desc+",image-subpath=", o.Subpath)
	}
	m.images = append(m.images, img.ID)
	m.add("--mount", w, p)
}

// subpath is a part of a volume or an image.
func (m *mounts) subpath(desc, s string) string {
	if path.IsAbs(s) || slices.Contains(strings.Split(s, "/"), "..") || strings.Contains(s, "\x00") || len(s) > 4095 {
		m.invalid("--mount", desc+clip(s), "is a relative path without ..")
	}
	return s
}

func (m *mounts) bind(option string, w wire.Mount, mode string) {
	w.Kind = wire.MountBind
	if !path.IsAbs(w.Source) || strings.Contains(w.Source, "\x00") || slices.Contains(strings.Split(w.Source, "/"), "..") {
		m.invalid(option, w.Source, "a host path is absolute and has no .. in it")
		return
	}
	w.Source = path.Clean(w.Source)
	m.add(option, w, container.MountPoint{Type: mount.TypeBind, Source: w.Source, Mode: mode,
		Propagation: mount.PropagationRPrivate})
}

func (m *mounts) volume(option string, w wire.Mount, use VolumeUse, mode string) {
	w.Kind = wire.MountVolume
	if err := volume.CheckName(use.Name); err != nil {
		m.invalid(option, use.Name, "%s", withoutClass(err))
		return
	}
	if m.options != nil {
		if there, ok := m.options(use.Name); ok { // which is what the name means then
			use.Options = there
		}
	}
	place, _, err := volume.ParseOptions(use.Options)
	if err != nil {
		m.invalid(option, pairs(use.Options), "%s", withoutClass(err))
		return
	}
	if place != nil && w.Subpath != "" {
		m.invalid(option, use.Name+",volume-subpath="+clip(w.Subpath), "this volume is a place of the host, and mounted as a whole: bind the part by its path")
	}
	if place != nil { // a bind mount in all but its name, and decided about as one
		w.Kind, w.Source, w.Recursive, w.Fill = wire.MountBind, place.Path, place.Recursive, false
		w.Writable = w.Writable && !place.ReadOnly
	}
	m.volumes = append(m.volumes, use)
	m.add(option, w, container.MountPoint{Type: mount.TypeVolume, Name: use.Name, Driver: "local", Mode: mode})
}

// withoutClass leaves out what only programs read of an error.
func withoutClass(err error) string {
	s := err.Error()
	for _, class := range []error{errdefs.ErrInvalidArgument, errdefs.ErrNotImplemented, errdefs.ErrNotFound} {
		s = strings.TrimSuffix(s, ": "+class.Error())
	}
	return s
}

func (m *mounts) anonymous(option, target string) {
	name := newVolumeName()
	m.volume(option, wire.Mount{Source: name, Target: target, Writable: true, Exec: true, Fill: true},
		VolumeUse{Name: name, Anonymous: true}, "")
}

// newVolumeName gives a random name of 64 hex digits.
func newVolumeName() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (m *mounts) add(option string, w wire.Mount, p container.MountPoint) {
	target, ok := cleanTarget(w.Target)
	switch {
	case !ok:
		m.invalid(option, w.Target, "the target is an absolute path inside the container, not / and without ..")
		return
	case reserved(target):
		m.refuseAs(option, "HostConfig.Mounts[].Target=/proc, /sys, /dev", target)
		return
	case m.taken(target):
		m.invalid(option, target, "two mounts have this target")
		return
	}
	w.Target = target
	p.Destination, p.RW = target, w.Writable
	m.spec = append(m.spec, w)
	m.shown = append(m.shown, p)
}

func (m *mounts) taken(target string) bool {
	return slices.ContainsFunc(m.spec, func(w wire.Mount) bool { return w.Target == target })
}

func cleanTarget(t string) (string, bool) {
	if !path.IsAbs(t) || strings.Contains(t, "\x00") || slices.Contains(strings.Split(t, "/"), "..") {
		return "", false
	}
	t = path.Clean(t)
	return t, t != "/"
}

// reserved paths would lay something over /proc, /sys or the devices, where masks and device rules act. The warden's
// floor says the same.
func reserved(t string) bool {
	for _, p := range []string{"/proc", "/sys", "/dev"} {
		if t == p || strings.HasPrefix(t, p+"/") && t != "/dev/shm" {
			return true
		}
	}
	return false
}
