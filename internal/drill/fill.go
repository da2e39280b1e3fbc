package drill

import (
	"fmt"
	"strconv"
)

// What the attackers of the disk are given, and what they try to take. It is little, so that an engine that gives it does
// not suffer; that containers have a bound without being told is what the engine's own tests hold.
const (
	diskGiven  = 64 << 20
	diskTaken  = 2 * diskGiven
	inodeDisk  = 2 << 20
	inodeTaken = 16384
	volumeDir  = "/volume"
)

func tryDisk(r *run) Verdict {
	return r.bounded(Spec{Args: probeArgs("disk-hog", strconv.Itoa(diskTaken), "/", "/tmp"), Disk: diskGiven})
}

func tryVolume(r *run) Verdict {
	return r.bounded(Spec{Args: probeArgs("volume-hog", strconv.Itoa(diskTaken), volumeDir), Volume: volumeDir, VolumeSize: diskGiven})
}

func tryInodes(r *run) Verdict {
	return r.bounded(Spec{Args: probeArgs("inode-hog", strconv.Itoa(inodeTaken)), Disk: inodeDisk})
}

// bounded has a container with a bound try to go beyond. An engine that can give none shows what a container has then.
func (r *run) bounded(spec Spec) Verdict {
	box, err := r.start(spec)
	if err == nil {
		defer r.remove(box)
		return r.outcome(box)
	}
	spec.Disk, spec.VolumeSize = 0, 0
	v := r.attack(spec)
	if v.Verdict == Exposed {
		v.Detail += fmt.Sprintf("; the engine gives no bound: %.120v", err)
	}
	return v
}
