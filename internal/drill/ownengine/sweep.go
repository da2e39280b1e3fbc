package ownengine

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
)

// processesOf lists processes that were started with the directory in their arguments or have a file of it open, a
// root or working directory in it, or a mount of it in their mount namespace.
func processesOf(dir string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || pid == os.Getppid() {
			continue
		}
		proc := filepath.Join("/proc", entry.Name())
		args, _ := os.ReadFile(proc + "/cmdline")
		why := ""
		switch {
		case strings.Contains(string(args), dir):
			why = "arguments"
		case leadsInto(dir, proc+"/cwd", proc+"/root", proc+"/exe"):
			why = "working directory or program"
		case holdsFile(proc+"/fd", dir):
			why = "open file"
		case mountOf(proc+"/mountinfo", dir):
			why = "mount"
		}
		if why != "" {
			name, _ := os.ReadFile(proc + "/comm")
			found = append(found, fmt.Sprintf("process %d %s (%s)", pid, strings.TrimSpace(string(name)), why))
		}
	}
	return found
}

func leadsInto(dir string, links ...string) bool {
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && (to == dir || strings.HasPrefix(to, dir+"/")) {
			return true
		}
	}
	return false
}

func holdsFile(fds, dir string) bool {
	entries, _ := os.ReadDir(fds)
	for _, e := range entries {
		if leadsInto(dir, filepath.Join(fds, e.Name())) {
			return true
		}
	}
	return false
}

func mountOf(mountinfo, dir string) bool {
	text, _ := os.ReadFile(mountinfo)
	return strings.Contains(string(text), dir)
}

// mountsBelow lists the mounts at or below a directory, in this mount namespace.
func mountsBelow(dir string) []string {
	var found []string
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			found = append(found, "mount "+f[4])
		}
	}
	return found
}

// tablesNamed lists nftables tables that bear the instance's name.
func tablesNamed(instance string) ([]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	tables, err := c.ListTables()
	var found []string
	for _, t := range tables {
		if strings.HasPrefix(t.Name, instance) {
			found = append(found, "firewall table "+t.Name)
		}
	}
	return found, err
}

// cgroupsNamed lists the topmost control groups that bear the instance's name, in all hierarchies.
func cgroupsNamed(instance string) []string {
	var found []string
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if strings.HasPrefix(d.Name(), instance) {
			found = append(found, "cgroup "+path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

// ShellLine is a command line as a person could type it.
func ShellLine(args []string) string {
	quoted := slices.Clone(args)
	for i, a := range quoted {
		if a == "" || strings.ContainsAny(a, " \t\n'\"\\$`!*?[](){}<>|&;~#") {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
