package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/groups"
)

// engineID is enough to find the processes of one engine among others, from any process.
type engineID struct {
	Dir      string // with root and run in it
	Instance string // what its kernel names derive from
}

func newEngineID(dir string) engineID {
	return engineID{dir, groups.Instance(filepath.Join(dir, "root"))}
}

// containers stands among the names of programs for whatever a container runs.
const containers = "containers"

// find gives the processes of the engine that run a program. The warden's copy of itself that forks is no warden.
func (e engineID) find(program string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, d := range entries {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if name, ours := e.program(pid); ours && name == program {
			pids = append(pids, pid)
		}
	}
	return pids
}

// program tells what a process of the engine is.
func (e engineID) program(pid int) (name string, ours bool) {
	proc := fmt.Sprintf("/proc/%d/", pid)
	line, err := os.ReadFile(proc + "cmdline")
	if err != nil || len(line) == 0 {
		return "", false
	}
	name, _, _ = strings.Cut(string(line), "\x00")
	name = filepath.Base(name)
	switch name {
	case "brig-keeper", "brig-warden", "brigd", "brig-router", "brig-store", "brig-worker":
		log, _ := os.Readlink(proc + "fd/2")
		if !strings.Contains(string(line)+log, e.Dir+"/") {
			return name, false
		}
		if name == "brig-warden" && commOf(parentOf(pid)) != "brig-keeper" {
			return "brig-spawner", true
		}
		return name, true
	}
	groups, _ := os.ReadFile(proc + "cgroup")
	return containers, strings.Contains(string(groups), "/"+e.Instance+"/")
}

func parentOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest + " 0 0")
	n, _ := strconv.Atoi(fields[1])
	return n
}

func commOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// kill kills what runs some programs, found before the first one is killed.
func (e engineID) kill(programs []string) {
	var pids []int
	for _, p := range programs {
		pids = append(pids, e.find(p)...)
	}
	for _, pid := range pids {
		unix.Kill(pid, unix.SIGKILL)
	}
}

var (
	ids     = regexp.MustCompile(`[0-9a-f]{64}`)
	spreads = regexp.MustCompile(`/(containers|fifo)/[0-9a-f]{2}(/|$)`)
	numbers = regexp.MustCompile(`\b[0-9]+\b|/loop[0-9]+\b`)
)

// nameless takes out of a path what is another one in every run.
func nameless(path string) string {
	path = ids.ReplaceAllString(path, "ID")
	path = spreads.ReplaceAllString(path, "/$1/XX$2")
	return numbers.ReplaceAllString(strings.TrimSuffix(path, " (deleted)"), "N")
}

// short is how a path is called in the text of a step, or "" if it is nothing of the engine's.
func (e engineID) short(path string) string {
	if rest, ok := strings.CutPrefix(path, e.Dir+"/"); ok {
		return strings.TrimPrefix(nameless("/"+rest), "/")
	}
	if rest, ok := strings.CutPrefix(path, "/sys/fs/cgroup/"); ok && strings.Contains(rest, e.Instance) {
		controller, _, _ := strings.Cut(rest, "/")
		_, below, _ := strings.Cut(rest, e.Instance)
		return "cgroup/" + controller + nameless(below)
	}
	if rest, ok := strings.CutPrefix(path, "/proc/"); ok {
		return "proc" + strings.TrimLeft(rest, "0123456789")
	}
	return ""
}
