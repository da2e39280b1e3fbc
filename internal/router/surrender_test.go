package router

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/kernel/bpf/asm"
	"github.com/brig-engine/brig/internal/kernel/bpf/bpfmap"
)

const childEnv = "BRIG_ROUTER_TEST"

// TestMain is also the child of TestSurrenderIsForGood: it surrenders, and then does one thing more.
func TestMain(m *testing.M) {
	what := os.Getenv(childEnv)
	if what == "" {
		os.Exit(m.Run())
	}
	if err := afterSurrender(what); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}

func afterSurrender(what string) error {
	m, err := bpfmap.NewHash("brig_test", 4, 4, 8)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the router has this on every thread since its birth; here the one that surrenders has it
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := surrender(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- attempt(what, m) }() // on whatever thread: all have surrendered
	return <-done
}

func attempt(what string, m *bpfmap.Map) error {
	switch what {
	case "map":
		return errors.Join(m.Put([]byte{1, 0, 0, 0}, []byte{1, 1, 1, 1}), m.Delete([]byte{1, 0, 0, 0}))
	case "socket":
		s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		return errors.Join(err, unix.Close(s))
	case "mount":
		if err := unix.Mount("none", "/tmp", "tmpfs", 0, ""); !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("mount: %w", err)
		}
		return nil
	case "setns":
		return unix.Setns(0, unix.CLONE_NEWNET)
	case "unshare":
		return unix.Unshare(unix.CLONE_NEWUSER)
	case "new map":
		_, err := bpfmap.NewHash("brig_test", 4, 4, 8)
		return err
	case "program":
		code, err := asm.Assemble([]asm.Insn{asm.OpImm(asm.Mov, asm.R0, 0), asm.Exit()})
		if err == nil {
			_, err = bpf.LoadProgram(bpf.SchedCLS, "brig_test", code)
		}
		return err
	case "capset":
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		return unix.Capset(&head, &data[0])
	}
	return fmt.Errorf("nobody knows %q", what)
}

// What only start-up needs is killed afterwards, on every thread; what the router lives on goes on.
func TestSurrenderIsForGood(t *testing.T) {
	self := filepath.Join(t.TempDir(), "router.test") // without cgo, as the program is built
	build := exec.Command("go", "test", "-c", "-o", self, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for what, killed := range map[string]bool{"map": false, "socket": false, "mount": false, "setns": true, "unshare": true,
		"new map": true, "program": true, "capset": true} {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"="+what)
		out, err := cmd.CombinedOutput()
		switch {
		case killed && (err == nil || !strings.Contains(err.Error(), "bad system call")):
			t.Errorf("%s: %v, want SIGSYS\n%s", what, err, out)
		case !killed && (err != nil || string(out) != "done\n"):
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
}
