package drill

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	mostMemory  = 1 << 30   // that the hog takes of a machine
	smallMemory = 256 << 20 // a limit that is asked for where the default one is too large to be reached
)

// tryMemory takes memory until something stops it. What the default limit is, the drill reads from the attacker's
// control group on the host, not from what the engine says of it:
//
//	none             take a bounded amount: exposed if nobody objects
//	within bounds    take more than that: must be stopped
//	large            too much to be taken for a test: ask for a small limit, and take more than that
func tryMemory(r *run) Verdict {
	bound := r.options.MemoryHog
	if bound == 0 {
		bound = min(memInfo("MemAvailable:")/2, mostMemory)
	}
	if bound < 2*smallMemory && r.options.MemoryHog == 0 {
		return couldNot("too little memory is free on this machine to try")
	}
	box, info, err := r.idle()
	if err != nil {
		return couldNot("%v", err)
	}
	limit, err := memoryLimit(info.PID)
	r.remove(box)
	if err != nil {
		return couldNot("the attacker's memory limit cannot be seen: %v", err)
	}
	spec := Spec{}
	switch {
	case limit >= memInfo("MemTotal:"):
		limit = 0
	case limit <= bound-bound/8:
		bound = limit + limit/8
	default:
		spec.Memory, bound = smallMemory, 2*smallMemory
	}
	spec.Args = probeArgs("memory-hog", strconv.FormatInt(bound, 10))
	v := r.hog(spec)
	if v.Verdict == Blocked && limit != 0 {
		v.Detail = fmt.Sprintf("default limit %d MiB; %s", limit>>20, v.Detail)
	}
	return v
}

// memoryLimit is the smallest limit, in bytes, of the control groups that a process is in; MaxInt64 if there is none.
func memoryLimit(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return 0, err
	}
	least, found := int64(math.MaxInt64), false
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case strings.Contains(","+f[1]+",", ",memory,"):
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case f[0] != "0" || f[1] != "":
			continue
		}
		for dir := filepath.Join(root, f[2]); len(dir) > len(root); dir = filepath.Dir(dir) {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			found = true
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				least = min(least, n)
			}
		}
	}
	if !found && !hasMemoryController() {
		return 0, fmt.Errorf("no memory controller is mounted below /sys/fs/cgroup")
	}
	return least, nil
}

func hasMemoryController() bool {
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		return true
	}
	b, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return strings.Contains(string(b), "memory")
}

// memInfo is a line of /proc/meminfo in bytes, 0 if it is not there.
func memInfo(key string) int64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == key {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
