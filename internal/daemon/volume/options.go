package volume

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
)

// Place is a directory of the host that a volume stands for.
type Place struct {
	Path                string
	Recursive, ReadOnly bool
}

// ParseOptions reads the options of the driver local, which are those of mount(8), type, o and device, and size. A volume without
// place has bytes of its own, at most size of them if that is not 0. Whoever uses one that has a place is asked for as much
// as for a bind mount.
func ParseOptions(options map[string]string) (place *Place, size int64, err error) {
	for _, k := range slices.Sorted(maps.Keys(options)) {
		if k != "type" && k != "o" && k != "device" && k != "size" {
			return nil, 0, invalid("%.64s: the driver local has the options type, o, device and size", k)
		}
	}
	asked, sized := options["size"]
	if sized {
		if size, err = units.RAMInBytes(asked); err != nil || size < least {
			return nil, 0, invalid("size=%.64s: a size of 1m or more is needed", asked)
		}
	}
	switch {
	case len(options) == 0 || sized && len(options) == 1:
		return nil, size, nil
	case sized:
		return nil, 0, invalid("size=%.64s: it bounds a volume of the engine's own, without type, o and device", asked)
	}
	place, err = parseMount(options)
	return place, 0, err
}

// least is what a volume can be bounded to.
const least = 1 << 20

func parseMount(options map[string]string) (*Place, error) {
	switch kind := options["type"]; kind {
	case "none", "bind", "":
	case "tmpfs":
		return nil, missing("type=tmpfs: a volume in memory is not shared between containers here; " +
			"--tmpfs gives each container its own")
	case "nfs", "nfs4", "cifs", "smb3":
		return nil, missing("type=%s: the kernel does not map the ids of a network file system, and containers have ids "+
			"of their own; copy what they need into a volume", kind)
	default:
		return nil, missing("type=%.64s: no file system is mounted for a volume; mount it on the host, and use type=none, "+
			"o=bind and device=PATH", kind)
	}
	return parsePlace(options["device"], options["o"])
}

func parsePlace(device, o string) (*Place, error) {
	if !path.IsAbs(device) || strings.Contains(device, "\x00") || slices.Contains(strings.Split(device, "/"), "..") {
		return nil, invalid("device=%.256s: it must be an absolute path of the host, without ..", device)
	}
	p := &Place{Path: path.Clean(device)}
	bind := false
	for word := range strings.SplitSeq(o, ",") {
		switch word {
		case "bind":
			bind = true
		case "rbind":
			bind, p.Recursive = true, true
		case "ro":
			p.ReadOnly = true
		case "", "rw", "private", "rprivate":
		default:
			return nil, invalid("o=%.64s: bind, rbind, ro, rw, private and rprivate are known", word)
		}
	}
	if !bind {
		return nil, invalid("o=%.64s: without bind there is nothing to mount at %.256s", o, device)
	}
	return p, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdefs.ErrInvalidArgument)
}

func missing(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdefs.ErrNotImplemented)
}
