package room

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory is what is in use at one moment, in KB (1,024 bytes).
type Memory struct {
	Processes int   // of the engine
	Programs  int   // of its containers
	PSS       int64 // of the engine's processes: shared pages are divided among those that share them
	Private   int64 // of the engine's processes
	Available int64 // of the whole machine: MemAvailable
	Files     int   // open in the engine's processes
	MostFiles int   // open in the one of them that has most
	Cgroups   int   // of the whole machine, as the kernel counts them: also those that are removed and not yet gone
}

// IdleProgram is the file that every container's program is. What else runs in a room belongs to the engine.
const IdleProgram = "busybox"

// measureMemory adds up the processes of this room; its own and process 1 are the caller's.
func measureMemory() (Memory, error) {
	var m Memory
	var err error
	if m.Available, err = machineAvailable(); err != nil {
		return m, err
	}
	if m.Cgroups, err = countCgroups(); err != nil {
		return m, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return m, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		if err := m.add(filepath.Join("/proc", e.Name())); err != nil {
			return m, err
		}
	}
	return m, nil
}

// add counts one process. One that has ended meanwhile, or a zombie, has no memory.
func (m *Memory) add(proc string) error {
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if filepath.Base(exe) == IdleProgram {
		m.Programs++
		return nil
	}
	rollup, err := os.ReadFile(filepath.Join(proc, "smaps_rollup"))
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil && !gone(err) {
		return err
	}
	m.Processes++
	m.Files += len(files)
	m.MostFiles = max(m.MostFiles, len(files))
	m.PSS += field(rollup, "Pss")
	m.Private += field(rollup, "Private_Clean") + field(rollup, "Private_Dirty")
	return nil
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// machineAvailable reads MemAvailable, in KB.
func machineAvailable() (int64, error) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	kb := field(info, "MemAvailable")
	if kb == 0 {
		return 0, fmt.Errorf("/proc/meminfo has no MemAvailable")
	}
	return kb, nil
}

// field finds "NAME:   123 kB" in a file of /proc; 0 if it is not there.
func field(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 64)
			return n
		}
	}
	return 0
}

// countCgroups reads how many control groups the memory controller has.
func countCgroups() (int, error) {
	text, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) == 4 && string(f[0]) == "memory" {
			return strconv.Atoi(string(f[2]))
		}
	}
	return 0, errors.New("/proc/cgroups has no memory controller")
}
