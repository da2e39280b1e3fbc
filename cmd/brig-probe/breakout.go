package main

import (
	"encoding/hex"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// probeOpenByHandle is the survey's own example of a breakout: a file handle names an inode of a whole file system, so
// that who may use handles steps over every mount and chroot. args: TOKEN TYPE HANDLE(hex), the canary's; inode 2, the
// root of most file systems, is tried beside it on every mount of the container.
func probeOpenByHandle(args []string) verdict {
	if len(args) != 3 {
		fail("usage: open-by-handle TOKEN-HASH TYPE HANDLE")
	}
	raw, err := hex.DecodeString(args[2])
	if err != nil {
		fail("open-by-handle: " + err.Error())
	}
	kind := int32(number(args, 1))
	canary := unix.NewFileHandle(kind, raw)
	root := unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}) // FILEID_INO32_GEN of inode 2
	last := error(unix.ENOENT)
	tries, eperm := 0, 0
	for _, dir := range mountPoints() {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		for _, handle := range []unix.FileHandle{canary, root} {
			got, err := unix.OpenByHandleAt(fd, handle, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK)
			tries++
			if err != nil {
				if last = err; err == unix.EPERM {
					eperm++
				}
				continue
			}
			f := os.NewFile(uintptr(got), dir)
			text, _ := io.ReadAll(io.LimitReader(f, 4096))
			f.Close()
			if holdsToken(text, args[0]) {
				unix.Close(fd)
				return verdict{verdict: exposed, detail: "read the host's canary through " + dir}
			}
			last = unix.EEXIST // opened something, but not the canary
		}
		unix.Close(fd)
	}
	if tries == 0 {
		return verdict{verdict: couldNotTry, detail: "no directory could be opened"}
	}
	detail := "open_by_handle_at → " + errName(last) + " on " + strconv.Itoa(tries/2) + " mounts"
	if eperm == 0 { // the calls were executed: only the choice of file systems was in the way
		return verdict{verdict: blocked, layer: "file system", detail: detail}
	}
	return verdict{verdict: blocked, layer: readPosture().refuser(unix.CAP_DAC_READ_SEARCH), detail: detail}
}

// mountPoints are "/" and the targets of all mounts that the container sees.
func mountPoints() []string {
	points := []string{"/"}
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 4 && f[4] != "/" && len(points) < 100 {
			points = append(points, f[4])
		}
	}
	return points
}

// probeHostPaths looks for the canary file by its host path through every door that has once been open: the roots and
// working directories of visible processes, leaked descriptors (CVE-2024-21626), and dots. args: TOKEN-HASH PATH.
func probeHostPaths(args []string) verdict {
	if len(args) != 2 {
		fail("usage: host-paths TOKEN-HASH PATH")
	}
	dots := strings.Repeat("../", 20)
	prefixes := []string{"", "/" + dots, "/proc/1/root", "/proc/1/cwd/" + dots, "/proc/self/root",
		"/proc/self/cwd/" + dots, "/host", "/mnt", "/rootfs", "/.pivot_root", "/oldroot", "/.old"}
	for fd := range 32 {
		prefixes = append(prefixes, "/proc/self/fd/"+strconv.Itoa(fd)+"/"+dots, "/proc/1/fd/"+strconv.Itoa(fd)+"/"+dots)
	}
	for _, pid := range visible() {
		if pid > 1 {
			prefixes = append(prefixes, "/proc/"+strconv.Itoa(pid)+"/root", "/proc/"+strconv.Itoa(pid)+"/cwd/"+dots)
		}
	}
	for _, prefix := range prefixes {
		text, err := os.ReadFile(prefix + args[1])
		if err == nil && holdsToken(text, args[0]) {
			return verdict{verdict: exposed, detail: "read the host's canary as " + prefix + args[1]}
		}
	}
	return verdict{verdict: blocked, layer: "mount namespace", detail: strconv.Itoa(len(prefixes)) + " paths lead nowhere"}
}

// visible are the process ids in /proc.
func visible() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// probeKernelKnobs opens for writing what lets a program run on the host or stop it; it never writes. An open file is
// enough: sysctl and cgroup files check nothing more at write.
func probeKernelKnobs([]string) verdict {
	knobs := []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug",
		"/proc/sysrq-trigger", "/proc/sys/fs/binfmt_misc/register", "/sys/kernel/uevent_helper", "/proc/sys/vm/panic_on_oom",
		"/proc/sys/kernel/panic", "/proc/sys/kernel/pid_max", "/sys/kernel/security/apparmor/.replace",
		"/proc/irq/0/smp_affinity", "/proc/acpi/wakeup", "/sys/power/state"}
	for _, m := range mountPoints() {
		if strings.HasPrefix(m, "/sys/fs/cgroup") {
			knobs = append(knobs, m+"/release_agent", m+"/cgroup.procs", m+"/../cgroup.procs", m+"/cgroup.subtree_control",
				m+"/memory.max", m+"/pids.max")
		}
	}
	var open []string
	var refused tally
	sample, denier := "", "permissions"
	if readPosture().userns { // the files belong to an id that this root is not
		denier = "user namespace"
	}
	for _, path := range knobs {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err == nil {
			unix.Close(fd)
			open = append(open, path)
			continue
		}
		switch err {
		case unix.EROFS:
			refused.add("read-only mount")
		case unix.EACCES, unix.EPERM:
			refused.add(denier)
		default:
			continue // is not there
		}
		if sample == "" {
			sample = path + " → " + errName(err)
		}
	}
	if len(open) > 0 {
		return verdict{verdict: exposed, detail: "could write " + few(open, 3)}
	}
	if sample == "" {
		return verdict{verdict: blocked, layer: "masked paths", detail: "none of the files is there"}
	}
	return verdict{verdict: blocked, layer: refused.most(), detail: sample}
}

// probeMknodDisk makes a node for a disk of the host (the drill's canary) and reads from it.
// args: TOKEN-HASH MAJOR MINOR.
func probeMknodDisk(args []string) verdict {
	if len(args) != 3 {
		fail("usage: mknod-disk TOKEN-HASH MAJOR MINOR")
	}
	dev := unix.Mkdev(uint32(number(args, 1)), uint32(number(args, 2)))
	last := error(nil)
	var made verdict // of the last node that could be made
	for _, dir := range []string{"/", "/tmp", "/dev", "/dev/shm", "/run"} {
		node := strings.TrimSuffix(dir, "/") + "/brig-probe-disk"
		if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(dev)); err != nil {
			if err != unix.ENOENT || last == nil { // not every image has every directory
				last = err
			}
			continue
		}
		made = readDisk(node, args[0])
		unix.Unlink(node)
		if made.verdict == exposed {
			return made
		}
	}
	if made.verdict != "" {
		return made
	}
	return verdict{verdict: blocked, layer: readPosture().refuser(unix.CAP_MKNOD), detail: "mknod → " + errName(last)}
}

// probeDiskNode reads the device node that an image brought along. args: TOKEN-HASH PATH.
func probeDiskNode(args []string) verdict {
	if len(args) != 2 {
		fail("usage: disk-node TOKEN-HASH PATH")
	}
	return readDisk(args[1], args[0])
}

func readDisk(node, hash string) verdict {
	fd, err := unix.Open(node, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == unix.ENOENT {
		return verdict{verdict: blocked, layer: "verification", detail: node + " was left out of the image"}
	}
	if err != nil {
		return verdict{verdict: blocked, layer: "device rules", detail: "open of the node → " + errName(err)}
	}
	defer unix.Close(fd)
	var buf [512]byte
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return verdict{verdict: blocked, layer: "verification", detail: node + " is no device"}
	}
	n, err := unix.Read(fd, buf[:])
	if n <= 0 {
		return verdict{verdict: blocked, layer: "device rules", detail: "read of the node → " + errName(err)}
	}
	if !holdsToken(buf[:n], hash) {
		return verdict{verdict: couldNotTry, detail: "the node is not the drill's disk"}
	}
	return verdict{verdict: exposed, detail: "read the host's disk"}
}

// probeExecJoiner watches for processes that the engine sends into the container, for args[0] milliseconds, and tries
// to open their program and memory while they still are the engine's (CVE-2019-5736, CVE-2016-9962).
func probeExecJoiner(args []string) verdict {
	end := time.Now().Add(time.Duration(number(args, 0)) * time.Millisecond)
	var own unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &own); err != nil {
		return verdict{verdict: couldNotTry, detail: errName(err)}
	}
	self, seen := os.Getpid(), map[int]bool{}
	refused := map[string]bool{}
	for time.Now().Before(end) {
		for _, pid := range visible() {
			if pid == self || pid == 1 { // 1 may be an init program, which was put there to be seen
				continue
			}
			seen[pid] = true
			dir := "/proc/" + strconv.Itoa(pid)
			var st unix.Stat_t
			if err := unix.Stat(dir+"/exe", &st); err == unix.EACCES || err == unix.EPERM {
				refused[errName(err)] = true
				if how := peek(dir); how != "" {
					return verdict{verdict: exposed, detail: "of a process that hides its program, " + how}
				}
			} else if err == nil && (st.Dev != own.Dev || st.Ino != own.Ino) {
				if fd, err := unix.Open(dir+"/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
					unix.Close(fd)
					return verdict{verdict: exposed, detail: "opened the engine's own program as " + dir + "/exe"}
				}
			}
		}
	}
	if len(seen) == 0 {
		return verdict{verdict: couldNotTry, detail: "nobody came by"}
	}
	detail := strconv.Itoa(len(seen)) + " processes came by, none of them the engine's to look at"
	if len(refused) > 0 {
		return verdict{verdict: blocked, layer: "not dumpable", detail: detail + " (EACCES)"}
	}
	return verdict{verdict: blocked, layer: "no engine program inside", detail: detail}
}

// peek tries to look into a process whose program may not be seen: the memory, descriptors and environment that it brings
// from the engine. What opens counts only if the program still may not be seen then: it may have become the container's.
func peek(dir string) (how string) {
	for _, name := range []string{"/mem", "/environ", "/maps", "/cwd", "/fd/0", "/fd/3", "/fd/4", "/fd/5", "/fd/7"} {
		flags := unix.O_RDONLY | unix.O_CLOEXEC
		if name != "/mem" && name != "/environ" && name != "/maps" {
			flags |= unix.O_PATH
		}
		fd, err := unix.Open(dir+name, flags, 0)
		if err != nil {
			continue
		}
		var buf [64]byte
		n, err := unix.Read(fd, buf[:])
		unix.Close(fd)
		var st unix.Stat_t
		if opened := n > 0 || name == "/mem" || err == unix.EBADF; opened && unix.Stat(dir+"/exe", &st) == unix.EACCES {
			return "opened " + dir + name
		}
	}
	return ""
}

// probeCapabilities looks which of the capabilities that amount to the host are effective in a user namespace that
// has the host's ids: elsewhere they reach nothing of the host.
func probeCapabilities([]string) verdict {
	p := readPosture()
	var held []string
	for _, c := range []struct {
		name string
		n    uint
	}{{"DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH}, {"SYS_ADMIN", unix.CAP_SYS_ADMIN},
		{"SYS_PTRACE", unix.CAP_SYS_PTRACE}, {"SYS_MODULE", unix.CAP_SYS_MODULE}, {"SYS_RAWIO", unix.CAP_SYS_RAWIO},
		{"BPF", unix.CAP_BPF}} {
		if p.caps&(1<<c.n) != 0 {
			held = append(held, c.name)
		}
	}
	switch {
	case len(held) > 0 && !p.userns:
		return verdict{verdict: exposed, detail: "over the host: " + few(held, 4)}
	case len(held) > 0:
		return verdict{verdict: blocked, layer: "user namespace", detail: "inside only: " + few(held, 4)}
	}
	return verdict{verdict: blocked, layer: "capability", detail: "none of six dangerous capabilities is effective"}
}
