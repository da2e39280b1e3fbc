package room

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// recoverPause is between two questions whether everything is there again.
const recoverPause = 5 * time.Millisecond

// endAndAsk ends every program of this room that is called by name, by SIGKILL, and asks the command line until it prints
// count lines. It says how long that took, the last question included.
func endAndAsk(name string, words []string, count int) (time.Duration, error) {
	pids, err := called(name)
	if err == nil && len(pids) == 0 {
		err = errors.New("there is no such program")
	}
	if err != nil {
		return 0, fmt.Errorf("end %s: %w", name, err)
	}
	start := time.Now()
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			return 0, fmt.Errorf("end %s: %w", name, err)
		}
	}
	for {
		out, err := exec.Command(words[0], words[1:]...).Output()
		took, lines := time.Since(start), bytes.Count(out, []byte{'\n'})
		if err == nil && lines == count {
			return took, nil
		}
		if took > commandLimit {
			return took, fmt.Errorf("%s does not come back: %d lines of %d, %w", name, lines, count, err)
		}
		time.Sleep(recoverPause)
	}
}

// called lists the processes of this room whose first argument is name.
func called(name string) (pids []int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // one that has ended is not called anything
		if first, _, _ := bytes.Cut(line, []byte{0}); string(first) == name {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
