package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Attach opens what a new process needs to enter the groups: the directory of version 2, for CLONE_INTO_CGROUP (0 without),
// and the tasks files of version 1. A group of version 2 that has handed controllers down takes no process: then it is the one
// below in which the container's first process is.
func (g *Group) Attach(first int) (dir int, tasks []int, err error) {
	for i := range g.Dirs {
		d := &g.Dirs[i]
		if d.V2() {
			name := d.Name()
			if down, _ := os.ReadFile(d.file("cgroup.subtree_control")); first > 0 && len(strings.TrimSpace(string(down))) > 0 {
				if name, err = holder(name, first); err != nil {
					return 0, tasks, err
				}
			}
			dir, err = unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		} else {
			var fd int
			if fd, err = unix.Open(d.file("tasks"), unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
				tasks = append(tasks, fd)
			}
		}
		if err != nil {
			for _, fd := range tasks {
				unix.Close(fd)
			}
			return 0, nil, fmt.Errorf("open control group %s: %w", d.Name(), err)
		}
	}
	return dir, tasks, nil
}

// PIDs are the processes of the container, in this process's numbers; of its groups alone, or of those below as well.
func (g *Group) PIDs(below bool) ([]int, error) {
	d := g.counted()
	pids, err := members(d.Name())
	if below {
		pids = nil
		err = filepath.WalkDir(d.Name(), func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				var more []int
				more, err = members(p)
				pids = append(pids, more...)
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return err
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // nobody is in a group that is not there
	}
	return pids, err
}

// members are the processes of one group; of a group that goes meanwhile, none.
func members(dir string) (pids []int, err error) {
	b, err := os.ReadFile(dir + "/cgroup.procs")
	for word := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	if errors.Is(err, unix.ENODEV) {
		err = nil
	}
	return pids, err
}

// holder is the group below top that a process is in.
func holder(top string, pid int) (found string, err error) {
	err = filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil // it went meanwhile
		}
		if pids, _ := members(p); slices.Contains(pids, pid) {
			found = p
			return filepath.SkipAll
		}
		return nil
	})
	if found == "" && err == nil {
		err = fmt.Errorf("control group %s has handed controllers down, and the container's first process is in no group below", top)
	}
	return found, err
}

// counted is the group whose processes are the container's.
func (g *Group) counted() *Dir {
	if d := g.find("pids"); d != nil {
		return d
	}
	if d := g.find("freezer"); d != nil {
		return d
	}
	return &g.Dirs[0]
}

// Signal sends a signal to every process of the container.
func (g *Group) Signal(sig unix.Signal) error {
	if !g.Ours() {
		return nil
	}
	if u := g.unified(); u != nil && sig == unix.SIGKILL {
		if err := os.WriteFile(u.file("cgroup.kill"), []byte("1"), 0); err == nil {
			return nil
		}
	}
	for range 10 { // processes that are being forked meanwhile
		pids, err := g.PIDs(true)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
				return fmt.Errorf("signal process %d: %w", pid, err)
			}
		}
		if sig != unix.SIGKILL {
			return nil
		}
	}
	return nil
}

// freezer gives the file that freezes, and its two values.
func (g *Group) freezer() (file, frozen, thawed string, err error) {
	if d := g.find("freezer"); d != nil {
		return d.file("freezer.state"), "FROZEN", "THAWED", nil
	}
	if u := g.unified(); u != nil {
		return u.file("cgroup.freeze"), "1", "0", nil
	}
	return "", "", "", errors.New("this machine has no control groups that freeze")
}

// Freeze stops every process of the container, or lets them go on, and waits until that has happened.
func (g *Group) Freeze(on bool) error {
	file, want, thawed, err := g.freezer()
	if err != nil {
		return err
	}
	if !on {
		want = thawed
	}
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		if err := os.WriteFile(file, []byte(want), 0); err != nil {
			return fmt.Errorf("freeze: %w", err)
		}
		if g.reached(file, want) {
			return nil
		}
		if time.Now().After(end) {
			_ = os.WriteFile(file, []byte(thawed), 0)
			return fmt.Errorf("freeze: not done in time")
		}
	}
}

func (g *Group) reached(file, want string) bool {
	if strings.HasSuffix(file, "cgroup.freeze") {
		events, _ := os.ReadFile(filepath.Dir(file) + "/cgroup.events")
		return strings.Contains(string(events), "frozen "+want)
	}
	b, _ := os.ReadFile(file)
	return strings.TrimSpace(string(b)) == want
}

// Frozen tells whether the container is paused.
func (g *Group) Frozen() bool {
	file, frozen, _, err := g.freezer()
	if err != nil {
		return false
	}
	b, _ := os.ReadFile(file)
	state := strings.TrimSpace(string(b))
	return state == frozen || state == "FREEZING"
}

// Remove removes the groups and those that were made in them. The kernel may take a while to let go of the last process.
func (g *Group) Remove() (failed error) {
	end := time.Now().Add(10 * time.Second)
	for i := range g.Dirs {
		name := g.Dirs[i].Name()
		err := unix.Rmdir(name)
		for pause := 200 * time.Microsecond; err == unix.EBUSY && time.Now().Before(end); pause = min(2*pause, 50*time.Millisecond) {
			time.Sleep(pause)
			err = removeAll(name)
		}
		if err != nil && err != unix.ENOENT {
			failed = cmp.Or(failed, fmt.Errorf("remove control group %s: %w", name, err))
		}
	}
	return failed
}

func removeAll(top string) error {
	var dirs []string
	filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, p)
		}
		return nil // what cannot be read keeps the group above it from going
	})
	err := error(unix.ENOENT)
	for _, d := range slices.Backward(dirs) {
		err = unix.Rmdir(d)
	}
	return err
}
