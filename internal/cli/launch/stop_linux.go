package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var errRoot = errors.New("the engine is stopped by root. Next: sudo brig engine stop")

// Stop asks the engine to stop its containers and itself, and waits for its end. With force, an engine that does not
// end in time is killed; its containers then run on.
func Stop(run string, force bool) error {
	pid, noted := keeperOf(run)
	if pid == 0 && hidden(run) {
		return errRoot
	}
	if pid == 0 {
		return fmt.Errorf("no engine runs in %s", run)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("engine %d: %w", pid, err)
	}
	defer unix.Close(fd)
	// The pid may have been given to another process before the descriptor held it fast.
	if startTime(pid) != noted {
		return fmt.Errorf("no engine runs in %s", run)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return errRoot
		}
		return fmt.Errorf("stop engine %d: %w", pid, err)
	}
	if ended(fd, endsWithin) {
		return nil
	}
	if !force {
		return fmt.Errorf("engine %d has not ended after %d seconds; its log is %s. Next: brig engine stop --force",
			pid, endsWithin/time.Second, filepath.Join(run, "engine.log"))
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("kill engine %d: %w", pid, err)
	}
	if !ended(fd, 5*time.Second) {
		return fmt.Errorf("engine %d does not die", pid)
	}
	return nil
}

// ended waits until the process of a pidfd has ended.
func ended(fd int, within time.Duration) bool {
	deadline := time.Now().Add(within)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(left/time.Millisecond)+1)
		if n > 0 {
			return true
		}
		if err != nil && err != unix.EINTR {
			return false
		}
	}
}

// keeperOf returns the pid of the keeper of an engine and its start time, or 0 if none runs.
func keeperOf(run string) (pid int, start string) {
	data, err := os.ReadFile(filepath.Join(run, "keeper.pid"))
	if err != nil {
		return 0, ""
	}
	first, second, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	pid, err = strconv.Atoi(first)
	if err != nil || pid <= 1 || second == "" || startTime(pid) != second {
		return 0, ""
	}
	return pid, second
}

// hidden tells that whether an engine runs is not for the caller to know.
func hidden(run string) bool {
	f, err := os.Open(filepath.Join(run, "keeper.pid"))
	if err == nil {
		f.Close()
	}
	return errors.Is(err, os.ErrPermission)
}

// startTime is field 22 of /proc/PID/stat, "" if there is no such process or it is a zombie. The second field, a name
// in parentheses, may hold anything.
func startTime(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, ok := strings.Cut(string(data[max(0, strings.LastIndexByte(string(data), ')')):]), " ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// Look finds the processes of an engine.
func Look(run string) Status {
	pid, _ := keeperOf(run)
	if pid == 0 {
		return Status{Hidden: hidden(run)}
	}
	s := Status{Running: true, PIDs: map[string]int{"brig-keeper": pid}}
	words := commandLine(strconv.Itoa(pid))
	for i := 1; i+1 < len(words); i++ {
		switch words[i] {
		case "--root":
			s.Root = words[i+1]
		case "--socket":
			s.Socket = words[i+1]
		}
	}
	for _, name := range []string{"brig-warden", "brig-router", "brig-store", "brigd"} {
		// The keeper's child is the warden, and the others are the warden's, or its adopted grandchildren.
		if p := childNamed(s.PIDs, name); p != 0 {
			s.PIDs[name] = p
		}
	}
	return s
}

// childNamed looks among the children of the processes that are known for one that runs the program name. The kernel
// lists children by the thread that made them.
func childNamed(parents map[string]int, name string) int {
	for _, parent := range parents {
		lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		if err != nil {
			continue
		}
		for _, list := range lists {
			data, err := os.ReadFile(list)
			if err != nil {
				continue // a thread that has ended
			}
			for _, child := range strings.Fields(string(data)) {
				if runs(child, name) {
					pid, _ := strconv.Atoi(child)
					return pid
				}
			}
		}
	}
	return 0
}

func runs(pid, name string) bool {
	return filepath.Base(commandLine(pid)[0]) == name
}

// commandLine has one word at least, which is empty if there is no such process.
func commandLine(pid string) []string {
	data, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		return []string{""}
	}
	return strings.Split(string(data), "\x00")
}
