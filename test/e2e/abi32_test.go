package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// program32 says what a program of 32 bits can do: which answers it has from the kernel about sockets of two families, of
// socketcall(2), and about a new user namespace; and whether its threads run.
const program32 = `package main

import (
	"fmt"
	"syscall"
)

func main() {
	const socket, unshare, newUser, afALG = 359, 310, 0x10000000, 38
	call := func(nr, a, b uintptr) syscall.Errno {
		_, _, errno := syscall.RawSyscall(nr, a, b, 0)
		return errno
	}
	done := make(chan bool)
	for range 4 {
		go func() { done <- true }()
	}
	for range 4 {
		<-done
	}
	fmt.Println("runs", int(call(socket, syscall.AF_UNIX, syscall.SOCK_STREAM)), int(call(socket, afALG, syscall.SOCK_SEQPACKET)),
		int(call(syscall.SYS_SOCKETCALL, 1, 0)), int(call(unshare, newUser, 0)))
}
`

// TestProgramsOf32Bits: they are killed, unless somebody who may asked for them; then they run, and the floor holds for them.
func TestProgramsOf32Bits(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: the i386 instruction set, which only amd64 has")
	}
	e := startEngine(t).withBusybox()
	dir := filepath.Join(e.dir, "programs")
	source := filepath.Join(dir, "main.go")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(source, []byte(program32), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "p"), source)
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	bind := dir + ":/p:ro"
	const killed, runs = 128 + 31, "runs 0 1 38 1" // EPERM, ENOSYS, EPERM
	e.refused(killed, nil, "run", "--rm", "-v", bind, "box", "/p/p")
	e.refused(killed, nil, "run", "--rm", "-v", bind, "--security-opt", "seccomp=unconfined", "box", "/p/p")
	e.refused(killed, nil, "run", "--rm", "-v", bind, "--security-opt", "abi32=refuse", "box", "/p/p")
	for name, run := range map[string]func(args ...string) string{"brig": e.brig, "docker": e.docker} {
		if out := run("run", "--rm", "-v", bind, "--security-opt", "abi32=allow", "box", "/p/p"); out != runs {
			t.Errorf("%s: %s", name, out)
		}
	}
	if out := e.brig("run", "--rm", "-v", bind, "--security-opt", "abi32=allow", "--security-opt", "seccomp=unconfined", "box", "/p/p"); out != runs {
		t.Errorf("under the floor alone: %s", out)
	}

	e.brig("run", "-d", "--name", "old", "-v", bind, "--security-opt", "abi32=allow", "--cap-add", "NET_RAW", "box", "sleep", "1000")
	if out := e.brig("exec", "old", "/p/p"); out != runs {
		t.Errorf("exec: %s", out)
	}
	if out := e.show("{{.HostConfig.SecurityOpt}}", "old"); out != "[abi32=allow]" {
		t.Errorf("inspect: %s", out)
	}
	if out := e.brig("explain", "run", "--security-opt", "abi32=allow", "box", "true"); !strings.Contains(out, "floor-abi32's filter") {
		t.Errorf("explain: %s", out)
	}
	e.killed("brig-warden")
	e.brig("restart", "-t", "0", "old")
	if out := e.brig("exec", "old", "/p/p"); out != runs {
		t.Errorf("after a kill of the warden: %s", out)
	}

	line := `security-opt = ["abi32=allow"]`
	ask := e.asUser(1000, e.brigCommand("run", "--rm", "--security-opt", "abi32=allow", "box", "true"))
	if out, code := e.run(ask); code != 125 || !strings.Contains(out, "--security-opt abi32=allow: the rule policy.toml forbids it") || !strings.Contains(out, line) {
		t.Errorf("a user is told: %d %s", code, out)
	}
	e.apply("[[allow]]\nusers = [1000]\n" + line + "\n")
	ask = e.asUser(1000, e.brigCommand("run", "--rm", "--security-opt", "abi32=allow", "box", "echo", "given"))
	if out, code := e.run(ask); code != 0 || !strings.HasSuffix(out, "given") {
		t.Errorf("with the line: %d %s", code, out)
	}
	e.refused(125, []string{"abi32=allow: the rule policy.toml forbids it"}, "run", "--rm", "--security-opt", "abi32=allow", "box", "true")
}
