package volume

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// Place is a directory of the host that a volume stands for.
type Place struct {
	Path                string
	Recursive, ReadOnly bool
}

// ParseOptions reads the options of the driver local, which are those of mount(8): type, o and device. A volume without
// any has bytes of its own, and no place. Whoever uses one that has a place is asked for as much as for a bind mount.
func ParseOptions(options map[string]string) (*Place, error) {
	if len(options) == 0 {
		return nil, nil
	}
	for _, k := range slices.Sorted(maps.Keys(options)) {
		if k != "type" && k != "o" && k != "device" {
			return nil, invalid("%.64s: the driver local has the options type, o and device", k)
		}
	}
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
