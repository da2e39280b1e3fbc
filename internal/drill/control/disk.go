package control

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// slowDisk is a control group in which all boxes are, and which gets little of the disk that they are on: to an engine that
// gives no container a share of its own, any disk is too slow for one that asks for all of it. It is the only thing of this
// engine's outside of its namespaces and directory, and goes with it. A machine without it has boxes that share the whole disk.
type slowDisk struct{ dir string }

const slowRate = 8 << 20 // bytes a second

func newSlowDisk(on string) *slowDisk {
	var st unix.Stat_t
	if unix.Stat(on, &st) != nil {
		return nil
	}
	rate := fmt.Sprintf("%d:%d %d", unix.Major(st.Dev), unix.Minor(st.Dev), slowRate)
	dir := filepath.Join("/sys/fs/cgroup/blkio", filepath.Base(on))
	if os.Mkdir(dir, 0o755) != nil {
		return nil
	}
	if os.WriteFile(filepath.Join(dir, "blkio.throttle.write_bps_device"), []byte(rate), 0) != nil {
		os.Remove(dir)
		return nil
	}
	return &slowDisk{dir}
}

func (s *slowDisk) add(pid int) {
	if s != nil {
		os.WriteFile(filepath.Join(s.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0) // it may have ended
	}
}

func (s *slowDisk) remove() {
	if s != nil {
		os.Remove(s.dir)
	}
}
