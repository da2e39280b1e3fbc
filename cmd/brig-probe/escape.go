package main

import (
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probeMountAfresh mounts what the engine has hidden a second time, at a place of its own: the kernel's files without
// masks, and control groups with a release_agent. What it mounts is unmounted at once.
func probeMountAfresh([]string) verdict {
	const at = "/brig-probe-mount"
	if err := os.Mkdir(at, 0o700); err != nil && !os.IsExist(err) {
		return verdict{verdict: couldNotTry, detail: at + " → " + errName(err)}
	}
	defer os.Remove(at)
	var done, refused []string
	kinds := []string{"proc", "sysfs", "cgroup2", "binfmt_misc", "debugfs", "tracefs", "securityfs", "bpf", "devpts", "tmpfs"}
	for _, kind := range kinds {
		err := unix.Mount("brig-probe", at, kind, unix.MS_NOSUID, "")
		if err == nil {
			unix.Unmount(at, unix.MNT_DETACH)
			done = append(done, kind)
			continue
		}
		refused = append(refused, kind+" → "+errName(err))
	}
	for _, path := range []string{"/proc/sys", "/sys"} { // and to write where it is read-only
		if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, ""); err == nil {
			done = append(done, path+" to be written")
			unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
		}
	}
	if len(done) > 0 {
		return verdict{verdict: exposed, detail: "mounted " + few(done, 5)}
	}
	return verdict{verdict: blocked, layer: readPosture().refuser(unix.CAP_SYS_ADMIN), detail: few(refused, 2)}
}

// probeMountShared looks for a mount whose changes go to others, the host among them, and makes one there.
func probeMountShared([]string) verdict {
	var shared []string
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 6 && strings.Contains(" "+strings.Join(f[6:], " "), " shared:") {
			shared = append(shared, f[4])
		}
	}
	for _, at := range shared {
		if err := unix.Mount("brig-probe", at, "tmpfs", 0, "size=4096"); err == nil {
			unix.Unmount(at, unix.MNT_DETACH)
			return verdict{verdict: exposed, detail: "mounted upon " + at + ", which is shared with others"}
		}
	}
	detail := strconv.Itoa(len(mountPoints())) + " mounts, " + strconv.Itoa(len(shared)) + " of them shared"
	if len(shared) > 0 {
		return verdict{verdict: blocked, layer: readPosture().refuser(unix.CAP_SYS_ADMIN), detail: detail}
	}
	return verdict{verdict: blocked, layer: "private mounts", detail: detail}
}

// probeProcesses looks for processes that are not of this container and sends them a signal that does nothing.
// args: numbers of processes of the host.
func probeProcesses(args []string) verdict {
	self, foreign := os.Getpid(), []int{}
	for _, pid := range visible() {
		if pid != self && !(pid == 1 && os.Getppid() == 1) && !childOf(pid, self) {
			foreign = append(foreign, pid)
		}
	}
	var reached []string
	for _, pid := range foreign {
		if unix.Kill(pid, unix.SIGCONT) == nil {
			reached = append(reached, strconv.Itoa(pid))
		}
	}
	for i := range args {
		// A number may be one of this container's, by chance.
		if pid := int(number(args, i)); pid != self && pid != 1 && unix.Kill(pid, 0) == nil && !childOf(pid, self) {
			reached = append(reached, args[i]+" of the host")
		}
	}
	if len(reached) > 0 {
		return verdict{verdict: exposed, detail: "reached processes " + few(reached, 3)}
	}
	if len(foreign) > 0 {
		return verdict{verdict: exposed, detail: "saw " + strconv.Itoa(len(foreign)) + " processes of others"}
	}
	return verdict{verdict: blocked, layer: "PID namespace", detail: "no process of others is visible, " + strconv.Itoa(len(args)) +
		" numbers of the host lead nowhere"}
}

func childOf(pid, parent int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return strings.Contains(string(text), "\nPPid:\t"+strconv.Itoa(parent)+"\n")
}

// probeInheritedRights looks for what a program has from who started it: capabilities that an ordinary file can pass on,
// and groups that the image does not give its user. args: the groups that it may have.
func probeInheritedRights(args []string) verdict {
	text, _ := os.ReadFile("/proc/self/status")
	var wrong []string
	seen := ""
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "CapInh", "CapAmb":
			if strings.Trim(value, "0") != "" {
				wrong = append(wrong, key+" "+value)
			}
		case "Groups":
			seen = value
			for _, g := range strings.Fields(value) {
				if !strings.Contains(" "+strings.Join(args, " ")+" ", " "+g+" ") {
					wrong = append(wrong, "group "+g)
				}
			}
		}
	}
	if len(wrong) > 0 {
		return verdict{verdict: exposed, detail: "has " + few(wrong, 4)}
	}
	return verdict{verdict: blocked, layer: "credentials set anew", detail: "no inheritable and no ambient capability; groups: " + seen}
}

// toolTrojan is what stands in the image in place of programs that engines call: it says that it was called.
func toolTrojan([]string) int {
	os.WriteFile(trojanMark, []byte("called\n"), 0o666)
	return 0
}

const trojanMark = "/brig-trojan-was-called"

// probeCopyTrojan waits args[0] milliseconds while the drill copies files in and out, and then tells whether somebody executed
// or opened one of the files args[1:], which are programs and libraries that only a host's own should be.
func probeCopyTrojan(args []string) verdict {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return verdict{verdict: couldNotTry, detail: "inotify → " + errName(err)}
	}
	watched := map[int]string{}
	for _, name := range args[1:] {
		wd, err := unix.InotifyAddWatch(fd, name, unix.IN_OPEN)
		if err != nil {
			return verdict{verdict: couldNotTry, detail: "watch " + name + " → " + errName(err)}
		}
		watched[wd] = name
	}
	time.Sleep(time.Duration(number(args, 0)) * time.Millisecond)
	if _, err := os.Stat(trojanMark); err == nil {
		return verdict{verdict: exposed, detail: "a program of the container was executed by who copied"}
	}
	var buf [4096]byte
	if n, _ := unix.Read(fd, buf[:]); n >= unix.SizeofInotifyEvent {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[0]))
		return verdict{verdict: exposed, detail: "who copied opened " + watched[int(e.Wd)]}
	}
	return verdict{verdict: blocked, layer: "no program of the container", detail: strconv.Itoa(len(watched)) + " files are untouched"}
}

// probeSwap exchanges a directory and a link to the path args[2] at args[1], as fast as it can, for args[0] milliseconds:
// for an engine that looks at a path first and then uses it.
func probeSwap(args []string) verdict {
	if len(args) != 3 {
		fail("usage: swap MILLISECONDS AT TO")
	}
	end := time.Now().Add(time.Duration(number(args, 0)) * time.Millisecond)
	at, link := args[1], args[1]+".link"
	os.MkdirAll(at, 0o777)
	os.Remove(link)
	if err := os.Symlink(args[2], link); err != nil {
		return verdict{verdict: couldNotTry, detail: link + " → " + errName(err)}
	}
	n := 0
	for time.Now().Before(end) {
		if err := unix.Renameat2(unix.AT_FDCWD, at, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
			return verdict{verdict: couldNotTry, detail: "exchange " + at + " → " + errName(err)}
		}
		if n++; n%7 == 0 { // an odd number: it rests in both states
			time.Sleep(200 * time.Microsecond)
		}
	}
	return verdict{verdict: lookOutside, layer: "directory descriptors", detail: strconv.Itoa(n) + " exchanges"}
}

// toolPlant makes links: pairs of path and target, with the directories above them.
func toolPlant(args []string) int {
	for i := 0; i+1 < len(args); i += 2 {
		os.MkdirAll(args[i][:strings.LastIndexByte(args[i], '/')], 0o777)
		if err := os.Symlink(args[i+1], args[i]); err != nil {
			fail("plant: " + err.Error())
		}
	}
	return 0
}

// probeStopEverybody stops every other process that it sees, for args[0] milliseconds: also those that the engine has just
// sent in.
func probeStopEverybody(args []string) verdict {
	end, self, stopped := time.Now().Add(time.Duration(number(args, 0))*time.Millisecond), os.Getpid(), map[int]bool{}
	for time.Now().Before(end) {
		for _, pid := range visible() {
			if pid != self && pid != 1 && unix.Kill(pid, unix.SIGSTOP) == nil {
				stopped[pid] = true
			}
		}
	}
	for pid := range stopped {
		unix.Kill(pid, unix.SIGCONT)
	}
	return verdict{verdict: lookOutside, layer: "no waiting for a child", detail: strconv.Itoa(len(stopped)) + " processes stopped"}
}
