package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// leftoverDirs are where programs leave files, and where a container that came later would look.
func leftoverDirs() []string { return []string{"/", "/tmp", "/run", "/dev/shm"} }

const (
	leftoverFile = "brig-leftover"
	leftoverKey  = 0x6c656674
	leftoverSize = 4096
)

// toolLeave puts a token wherever it can, and prints in how many places. args: TOKEN.
func toolLeave(args []string) int {
	if len(args) != 1 {
		fail("usage: leave TOKEN")
	}
	token := []byte(args[0])
	places := 0
	for _, dir := range leftoverDirs() {
		if os.WriteFile(strings.TrimSuffix(dir, "/")+"/"+leftoverFile, token, 0o644) == nil {
			places++
		}
	}
	if id, err := unix.SysvShmGet(leftoverKey, leftoverSize, unix.IPC_CREAT|0o666); err == nil {
		if mem, err := unix.SysvShmAttach(id, 0, 0); err == nil {
			copy(mem, token)
			places++
		}
	}
	if mem := freshMemory(); mem != nil {
		for at := 0; at+len(token) <= len(mem); at += os.Getpagesize() / 4 {
			copy(mem[at:], token)
		}
		places++
	}
	os.Stdout.WriteString(strconv.Itoa(places) + "\n")
	return 0
}

// freshMemory is 16 MiB that the kernel has just given; each page is there.
func freshMemory() []byte {
	mem, err := unix.Mmap(-1, 0, 16<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil
	}
	for at := 0; at < len(mem); at += os.Getpagesize() {
		mem[at] = 1 // reading alone would show the kernel's page of zeros
	}
	return mem
}

// probeLeftovers searches what a container that is gone may have left. args: TOKEN-HASH.
func probeLeftovers(args []string) verdict {
	if len(args) != 1 {
		fail("usage: leftovers TOKEN-HASH")
	}
	hash := args[0]
	files := 0
	for _, dir := range append(leftoverDirs(), "/dev/mqueue", "/var/tmp") {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if info, err := e.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > leftoverSize {
				continue
			}
			files++
			path := strings.TrimSuffix(dir, "/") + "/" + e.Name()
			if text, err := os.ReadFile(path); err == nil && holdsToken(text, hash) {
				return verdict{verdict: exposed, detail: "what a container that is gone wrote is in " + path}
			}
		}
	}
	segments, found := searchSegments(hash)
	if found {
		return verdict{verdict: exposed, detail: "what a container that is gone wrote is in System V shared memory"}
	}
	if mem := freshMemory(); mem != nil && bytes.Contains(mem, []byte(tokenMark())) && holdsToken(mem, hash) {
		return verdict{verdict: exposed, detail: "what a container that is gone wrote is in new memory"}
	}
	return verdict{verdict: blocked, layer: "namespaces", detail: strconv.Itoa(files) + " files, " +
		strconv.Itoa(segments) + " segments and 16 MiB of new memory searched"}
}

// searchSegments reads every System V segment that the IPC namespace has.
func searchSegments(hash string) (n int, found bool) {
	ids := []int{}
	if id, err := unix.SysvShmGet(leftoverKey, 0, 0); err == nil {
		ids = append(ids, id)
	}
	table, _ := os.ReadFile("/proc/sysvipc/shm")
	for _, line := range strings.Split(string(table), "\n") {
		if f := strings.Fields(line); len(f) > 2 && len(ids) < 1000 {
			if id, err := strconv.Atoi(f[1]); err == nil {
				ids = append(ids, id)
			}
		}
	}
	for _, id := range ids {
		mem, err := unix.SysvShmAttach(id, 0, unix.SHM_RDONLY)
		if err != nil {
			continue
		}
		found = found || holdsToken(mem[:min(len(mem), leftoverSize)], hash)
		unix.SysvShmDetach(mem)
	}
	return len(ids), found
}

// probeCoreDump lets children crash that have the token in their memory (args[0], and this program's own), and asks their
// parent's status whether a dump was made of them: as a file, or for a program of the host (CVE-2022-28658). The first has
// the highest limit there is, the second the lowest: a kernel that has a program for dumps runs it at 0, and not at 1.
func probeCoreDump(args []string) verdict {
	if len(args) != 1 {
		fail("usage: core-dump TOKEN")
	}
	dir, err := os.MkdirTemp("", "crash")
	if err != nil {
		dir = "/dev/shm"
	} else {
		defer os.RemoveAll(dir) // with the dump, if there is one
	}
	if err := os.Chdir(dir); err != nil {
		return verdict{verdict: couldNotTry, detail: "no directory for a dump: " + errName(err)}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return verdict{verdict: couldNotTry, detail: errName(err)}
	}
	var v verdict
	for _, set := range []unix.Rlimit{{Cur: limit.Max, Max: limit.Max}, {}} {
		unix.Setrlimit(unix.RLIMIT_CORE, &set)
		if v = crash(); v.verdict != blocked {
			break
		}
	}
	return v
}

// crash has a child crash and says what became of its memory.
func crash() verdict {
	pid, errno := forkCrash()
	if errno != 0 {
		return verdict{verdict: couldNotTry, detail: "fork: " + errName(errno)}
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, 0, nil); err == nil {
			break
		} else if err != unix.EINTR {
			return verdict{verdict: couldNotTry, detail: errName(err)}
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return verdict{verdict: couldNotTry, detail: errName(err)}
	}
	return judgeCrash(status, limit.Cur)
}

func judgeCrash(status unix.WaitStatus, most uint64) verdict {
	pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
	where := "a file"
	if strings.HasPrefix(string(pattern), "|") {
		where = "a program of the host"
	}
	switch {
	case !status.Signaled():
		return verdict{verdict: couldNotTry, detail: "the child did not crash"}
	case status.CoreDump():
		return verdict{verdict: exposed, detail: "the memory of a crashed program went to " + where}
	case most <= 1:
		return verdict{verdict: blocked, layer: "resource limit",
			detail: "no dump was made: the limit is " + strconv.FormatUint(most, 10)}
	}
	return verdict{verdict: couldNotTry, detail: "no dump was made, and nothing that is known forbade it"}
}

// crashAction is struct sigaction of the kernel: the default action. Package-level, because the address must not move.
var crashAction [4]uint64

// forkCrash forks a child that aborts. It has no thread of the Go runtime, whose handler must not run there.
//
//go:norace
//go:noinline
func forkCrash() (int, syscall.Errno) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return int(pid), e
	}
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGABRT), uintptr(unsafe.Pointer(&crashAction)), 0, 8, 0, 0)
	self, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	unix.RawSyscall(unix.SYS_KILL, self, uintptr(unix.SIGABRT), 0)
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
