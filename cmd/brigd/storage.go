package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/daemon/volume"
)

// Bounds of what says nothing itself: at most these parts of the disk. A volume is what people keep their data in, so that
// it may have more than what a container writes beside.
const (
	containerDisk, containerPart = 10 << 30, 10
	volumeDisk, volumePart       = 100 << 30, 2
)

// storage is what brig engine start left in the run directory.
type storage struct {
	Container int64  `json:"container"`
	Volume    int64  `json:"volume"`
	Unbounded string `json:"unbounded"`
}

// disks decides how containers and volumes are bounded; kind is what the warden found to do it with.
func disks(kind, state, run string) (policy.Disk, volume.Disk) {
	s, err := readStorage(run)
	if err != nil {
		slog.Error("as usual instead", "error", err)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(state, &disk); err != nil {
		slog.Error("the engine's disk", "error", err)
	}
	total := int64(disk.Blocks) * disk.Bsize
	s.Unbounded = cmp.Or(s.Unbounded, "the file system has no project quota")
	if kind != "" {
		s.Unbounded = ""
	}
	c := policy.Disk{Kind: kind, Why: s.Unbounded, Total: total,
		Container: cmp.Or(s.Container, max(min(containerDisk, total/containerPart), policy.LeastDisk))}
	v := volume.Disk{Total: total, Unbounded: s.Unbounded, Volume: cmp.Or(s.Volume, max(min(volumeDisk, total/volumePart), policy.LeastDisk))}
	return c, v
}

func readStorage(run string) (s storage, err error) {
	b, err := os.ReadFile(filepath.Join(run, "storage"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return storage{}, fmt.Errorf("how to bound disks: %w", err)
	}
	return s, nil
}
