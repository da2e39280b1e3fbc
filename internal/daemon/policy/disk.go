package policy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
)

// LeastDisk is what a container or volume has to be given at least; overlayfs has directories of its own to make.
const LeastDisk = 1 << 20

// Disk says how containers are bounded that do not say themselves.
type Disk struct {
	Kind      string // what does it, as info tells it; "": nothing
	Why       string // it is nothing
	Container int64  // bytes
	Total     int64  // of the file system that the engine's directory is on; 0: unknown
}

// disk bounds the writable layer.
func (c *collector) disk(h *container.HostConfig, host Disk) int64 {
	asked := ""
	for _, k := range slices.Sorted(maps.Keys(h.StorageOpt)) {
		if k != "size" {
			c.refuse(true, "HostConfig.StorageOpt=OPTION", k+"="+h.StorageOpt[k])
			continue
		}
		if asked = h.StorageOpt[k]; asked == "" {
			c.invalid("--storage-opt", "size=", "a size is missing")
		}
	}
	if asked == "" {
		if host.Kind == "" {
			return 0
		}
		return host.Container
	}
	size, err := units.RAMInBytes(asked)
	switch {
	case err != nil || size < LeastDisk:
		c.invalid("--storage-opt", "size="+asked, "a size of 1m or more is needed")
	case host.Kind == "":
		c.invalid("--storage-opt", "size="+asked, "disk space cannot be bounded here: %s", cmp.Or(host.Why, "the engine found no way to"))
	case host.Total > 0 && size > host.Total:
		c.invalid("--storage-opt", "size="+asked, "the disk of the engine has %s in all", units.BytesSize(float64(host.Total)))
	}
	return size
}
