package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A canary's token is tokenMark and 32 hexadecimal digits. A probe is given only the SHA-256 of it, so that it cannot
// find itself; the mark is put together at run time, so that it is not found in this program either.
func tokenMark() string { return strings.Join([]string{"brig", "canary", ""}, "-") }

const tokenDigits = 32

// holdsToken says whether text has a token whose SHA-256 is hash.
func holdsToken(text []byte, hash string) bool {
	mark := tokenMark()
	rest := string(text)
	for {
		i := strings.Index(rest, mark)
		if i < 0 || len(rest) < i+len(mark)+tokenDigits {
			return false
		}
		token := rest[i : i+len(mark)+tokenDigits]
		sum := sha256.Sum256([]byte(token))
		if hex.EncodeToString(sum[:]) == hash {
			return true
		}
		rest = rest[i+len(mark):]
	}
}

const (
	secretFile = "/brig-secret"
	shmFile    = "/dev/shm/brig-secret"
	shmKey     = 0x62726967
	shmSize    = 4096
)

// toolHold is the neighbour with a secret: args[0] in its environment already, it puts it everywhere where programs
// keep secrets (a file, shared memory of both kinds, an abstract socket, its own memory) and serves on port args[1].
func toolHold(args []string) int {
	if len(args) != 2 {
		fail("usage: hold VARIABLE PORT")
	}
	token := os.Getenv(args[0])
	if token == "" {
		fail("hold: no variable " + args[0])
	}
	os.WriteFile(secretFile, []byte(token), 0o600)
	os.WriteFile(shmFile, []byte(token), 0o644)
	if id, err := unix.SysvShmGet(shmKey, shmSize, unix.IPC_CREAT|0o666); err == nil {
		if mem, err := unix.SysvShmAttach(id, 0, 0); err == nil {
			copy(mem, token)
		}
	}
	if fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
		if unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + "brig-neighbour"}) == nil && unix.Listen(fd, 8) == nil {
			go func() {
				for {
					peer, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
					if err != nil {
						return
					}
					unix.Write(peer, []byte(token))
					unix.Close(peer)
				}
			}()
		}
	}
	return toolServe([]string{args[1]})
}

// probeSecrets searches every place where a neighbour's secret could show. args: TOKEN-HASH.
func probeSecrets(args []string) verdict {
	if len(args) != 1 {
		fail("usage: secrets TOKEN-HASH")
	}
	hash := args[0]
	places := []struct {
		name string
		look func(string) bool
	}{
		{"own environment", func(h string) bool { return holdsToken([]byte(strings.Join(os.Environ(), "\n")), h) }},
		{"environment, arguments or files of another process", secretInProc},
		{"memory of another process", secretInMemory},
		{"shared memory", secretInShm},
		{"System V shared memory", secretInSysV},
		{"an abstract socket", secretInAbstract},
		{"a file", func(h string) bool { b, _ := os.ReadFile(secretFile); return holdsToken(b, h) }},
	}
	var found []string
	for _, p := range places {
		if p.look(hash) {
			found = append(found, p.name)
		}
	}
	if len(found) > 0 {
		return verdict{verdict: exposed, detail: "the neighbour's secret is in " + few(found, 3)}
	}
	return verdict{verdict: blocked, layer: "namespaces", detail: strconv.Itoa(len(places)) + " hiding places searched, " +
		strconv.Itoa(len(visible())) + " processes visible"}
}

func secretInProc(hash string) bool {
	for _, pid := range visible() {
		dir := "/proc/" + strconv.Itoa(pid)
		for _, name := range []string{"/environ", "/cmdline", "/root" + secretFile, "/root" + shmFile} {
			if b, err := os.ReadFile(dir + name); err == nil && holdsToken(b, hash) {
				return true
			}
		}
	}
	return false
}

// secretInMemory reads the stacks and heaps (writable private mappings, 8 MiB of each at most) of other processes.
func secretInMemory(hash string) bool {
	buf := make([]byte, 8<<20)
	for _, pid := range visible() {
		if pid == os.Getpid() {
			continue
		}
		maps, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(maps), "\n") {
			span, rest, _ := strings.Cut(line, " ")
			from, to, ok := strings.Cut(span, "-")
			if !ok || !strings.HasPrefix(rest, "rw") {
				continue
			}
			begin, _ := strconv.ParseUint(from, 16, 64)
			end, _ := strconv.ParseUint(to, 16, 64)
			size := int(min(end-begin, uint64(len(buf))))
			if size <= 0 {
				continue
			}
			local := []unix.Iovec{{Base: &buf[0], Len: uint64(size)}}
			remote := []unix.RemoteIovec{{Base: uintptr(begin), Len: size}}
			if n, err := unix.ProcessVMReadv(pid, local, remote, 0); err == nil && holdsToken(buf[:n], hash) {
				return true
			}
		}
	}
	return false
}

func secretInShm(hash string) bool {
	entries, _ := os.ReadDir("/dev/shm")
	for _, e := range entries {
		if b, err := os.ReadFile("/dev/shm/" + e.Name()); err == nil && holdsToken(b, hash) {
			return true
		}
	}
	return false
}

func secretInSysV(hash string) bool {
	id, err := unix.SysvShmGet(shmKey, 0, 0)
	if err != nil {
		return false
	}
	mem, err := unix.SysvShmAttach(id, 0, unix.SHM_RDONLY)
	if err != nil {
		return false
	}
	defer unix.SysvShmDetach(mem)
	return holdsToken(mem, hash)
}

func secretInAbstract(hash string) bool {
	for _, name := range abstractSockets() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return false
		}
		var buf [256]byte
		n := 0
		if unix.Connect(fd, &unix.SockaddrUnix{Name: name}) == nil {
			timeout(fd, 200)
			n, _ = read(fd, buf[:])
		}
		unix.Close(fd)
		if n > 0 && holdsToken(buf[:n], hash) {
			return true
		}
	}
	return false
}

// abstractSockets are the names, with '@', that the network namespace shows.
func abstractSockets() []string {
	names := []string{"@brig-neighbour"}
	text, _ := os.ReadFile("/proc/net/unix")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) == 8 && strings.HasPrefix(f[7], "@") && len(names) < 200 {
			names = append(names, f[7])
		}
	}
	return names
}
