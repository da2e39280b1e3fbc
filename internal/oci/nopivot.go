package oci

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/config"
)

// withoutPivot finds what --no-pivot has to take away. Where that cannot be done there is no --no-pivot.
func (c *container) withoutPivot(in *birth.Input) error {
	if !in.NoPivot {
		return nil
	}
	if in.UserNS {
		return errors.New("--no-pivot with a user namespace is refused: the kernel lets nobody unmount the host's proc and sys there. " +
			"Next: run without --no-pivot")
	}
	if !config.New(c.spec.Linux, specs.MountNamespace) {
		return errors.New("--no-pivot with a mount namespace by path is refused: it would cover the root of those who are in it. " +
			"Next: run without --no-pivot")
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("find the host's proc and sys: %w", err)
	}
	in.HostMounts = procAndSys(string(b), c.Root)
	return nil
}

// procAndSys gives the mount points of every proc and sys that is not below root, in the order of mounting.
func procAndSys(mountinfo, root string) (found []string) {
	for line := range strings.Lines(mountinfo) {
		left, right, _ := strings.Cut(line, " - ")
		f, kind := strings.Fields(left), strings.Fields(right)
		if len(f) < 5 || len(kind) == 0 || kind[0] != "proc" && kind[0] != "sysfs" {
			continue
		}
		if at := unescape(f[4]); at != root && !strings.HasPrefix(at, root+"/") {
			found = append(found, at)
		}
	}
	return found
}
