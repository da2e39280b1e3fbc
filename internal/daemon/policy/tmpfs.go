package policy

import (
	"errors"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/brig-engine/brig/internal/wire"
)

func (m *mounts) mountTmpfs(desc string, w wire.Mount, o *mount.TmpfsOptions) {
	if w.Source != "" {
		m.invalid("--mount", desc, "a tmpfs has no source")
	}
	w.Source, w.Mode = "", 0o1777
	if o != nil {
		w.Size = o.SizeBytes
		if o.Mode != 0 {
			w.Mode = uint32(o.Mode)
		}
		for _, kv := range o.Options {
			m.tmpfsOption("HostConfig.Mounts[].TmpfsOptions.Options", desc+",", &w, strings.Join(kv, "="))
		}
	}
	m.addTmpfs("--mount", w)
}

// tmpfs reads one entry of --tmpfs TARGET[:OPTIONS].
func (m *mounts) tmpfs(target, opts string) {
	w := wire.Mount{Target: target, Writable: true, Mode: 0o1777}
	for o := range strings.SplitSeq(opts, ",") {
		m.tmpfsOption("HostConfig.Tmpfs", target+":", &w, o)
	}
	m.addTmpfs("--tmpfs", w)
}

// tmpfsOption applies one option; field is where it stands in the request.
func (m *mounts) tmpfsOption(field, desc string, w *wire.Mount, o string) {
	name, value, _ := strings.Cut(o, "=")
	var err error
	switch name {
	case "", "noexec", "nosuid", "nodev", "rw", "private", "rprivate":
	case "async", "atime", "diratime", "relatime", "nomand": // what a tmpfs has anyway
	case "exec":
		w.Exec = true
	case "ro":
		w.Writable = false
	case "size":
		w.Size, err = m.tmpfsSize(value)
	case "mode":
		var mode uint64
		mode, err = strconv.ParseUint(value, 8, 12)
		w.Mode = uint32(mode)
	case "uid", "gid":
		var id uint64
		if id, err = strconv.ParseUint(value, 10, 16); name == "uid" {
			w.UID = uint32(id)
		} else {
			w.GID = uint32(id)
		}
	case "suid", "dev":
		m.refuse(true, field+"=suid", desc+clip(o))
	default:
		m.refuse(true, field+"=OPTION", desc+clip(o))
	}
	if err != nil {
		m.invalid("--tmpfs", w.Target+":"+clip(o), "%v", err)
	}
}

// tmpfsSize reads bytes, 64m, or a part of the machine's memory, 10%.
func (m *mounts) tmpfsSize(s string) (n int64, err error) {
	if part, ok := strings.CutSuffix(s, "%"); ok {
		percent, err := strconv.ParseUint(part, 10, 7)
		if err != nil || percent == 0 || percent > 100 {
			return 0, errors.New("a part of the machine's memory is 1% to 100%")
		}
		return m.machine / 100 * int64(percent), nil
	}
	n, err = units.RAMInBytes(s)
	if err == nil && n <= 0 {
		err = errors.New("a size is more than 0: a tmpfs without a bound is not possible")
	}
	return n, err
}

func (m *mounts) addTmpfs(option string, w wire.Mount) {
	w.Kind = wire.MountTmpfs
	if w.Size < 0 || w.Mode&^0o1777 != 0 {
		m.invalid(option, w.Target, "size and mode must be a number of bytes and permission bits")
	}
	if w.Size == 0 {
		w.Size = defaultTmpfs
	}
	m.add(option, w, container.MountPoint{Type: mount.TypeTmpfs})
}
