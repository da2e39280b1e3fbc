package fault

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// census counts what an engine has in the kernel and on disk, by kind.
type census map[string]int

// count takes the census.
func (m *machine) count() census {
	c := census{}
	c.files(m.Dir, filepath.Dir(m.disk("containers")))
	for _, path := range cgroupsOf(m.Instance) {
		c["cgroup "+m.short(path)]++
	}
	for _, program := range []string{"brig-keeper", "brig-warden", "brig-spawner", "brigd", "brig-router", "brig-store", "brig-worker", containers} {
		for _, pid := range m.find(program) {
			c["process "+program]++
			if program == "brig-keeper" || program == "brig-warden" {
				c.descriptors(program, pid)
			}
			if program == "brig-warden" {
				c.mounts(pid, m.Dir)
			}
			if program == "brig-keeper" {
				c.inside("router", networkOf(pid))
			}
		}
	}
	c.inside("host", m.netns)
	return c
}

// files counts those of the engine's directories.
func (c census) files(dir, disk string) {
	for _, top := range []string{"root", "run", "root/disk"} {
		within := dir
		if _, err := os.Lstat(disk); top == "root/disk" && err == nil { // the image, as the keeper sees it
			within = strings.TrimSuffix(disk, "/root/disk")
		}
		filepath.WalkDir(filepath.Join(within, top), func(path string, _ fs.DirEntry, err error) error {
			// Directories that spread others stay, and the log is the engine's own.
			if name := nameless(strings.TrimPrefix(path, within)); err == nil && !strings.HasSuffix(name, "/XX") &&
				name != "/run/engine.log" {
				c["file "+name]++
			}
			return nil
		})
	}
}

// descriptors counts what a process holds, but for what comes and goes with its connections.
func (c census) descriptors(program string, pid int) {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, e := range entries {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		if err != nil || strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "pipe:") || strings.Contains(to, "event") {
			continue
		}
		c[program+" holds "+nameless(to)]++
	}
}

// mounts counts those on the engine's directories: what else is mounted on this host follows, and is not the engine's.
func (c census) mounts(pid int, dir string) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	c["mounts of the warden"] = strings.Count(string(text), " "+dir+"/")
}

// networkOf opens the network namespace that the keeper holds: the router's.
func networkOf(keeper int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", keeper))
	for _, e := range entries {
		path := fmt.Sprintf("/proc/%d/fd/%s", keeper, e.Name())
		if to, _ := os.Readlink(path); strings.HasPrefix(to, "net:[") {
			if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
				return fd
			}
		}
	}
	return -1
}

// inside counts interfaces, and elements of sets, of a network namespace; it closes that of the router.
func (c census) inside(whose string, netns int) {
	if netns < 0 {
		return
	}
	err := within(netns, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		c["interfaces of the "+whose] = len(links)
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTables()
		if err != nil {
			return err
		}
		for _, table := range tables {
			sets, err := conn.GetSets(table)
			if err != nil {
				return err
			}
			for _, set := range sets {
				if elements, err := conn.GetSetElements(set); err == nil && !set.Dynamic { // those come and go with traffic
					c["elements of the "+whose+"'s set "+set.Name] = len(elements)
				}
			}
		}
		return nil
	})
	if err != nil {
		c["error: "+err.Error()]++
	}
	if whose == "router" {
		unix.Close(netns)
	}
}

// difference tells what there is more or less of.
func (c census) difference(base census) (lines []string) {
	names := map[string]bool{}
	for n := range c {
		names[n] = true
	}
	for n := range base {
		names[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if c[n] != base[n] {
			lines = append(lines, fmt.Sprintf("%s: %d, was %d", n, c[n], base[n]))
		}
	}
	return lines
}

// settle waits until the census is what it was at first; what is taken down in the background gets its time.
func (m *machine) settle() {
	m.t.Helper()
	m.brig("run", "--rm", image, "true") // the first start of a warden makes what stays: the image's mount
	var left []string
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if left = m.count().difference(m.base); len(left) == 0 {
			return
		}
	}
	m.t.Errorf("left, or gone:\n  %s", strings.Join(left, "\n  "))
}

// rest waits until nothing changes any more, and takes that for the base.
func (m *machine) rest() {
	m.t.Helper()
	m.base = m.count()
	same := 0
	for range 300 {
		time.Sleep(20 * time.Millisecond)
		now := m.count()
		if len(now.difference(m.base)) > 0 {
			same = 0
		} else if same++; same == 10 {
			return
		}
		m.base = now
	}
	m.t.Error("the engine does not come to rest")
}
