package plan_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/warden/rootfs"
	"github.com/brig-engine/brig/internal/wire"
)

const copying = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID

// copier is the worker for cp, of a container that runs or (with a spec) of one that does not.
func copier(s *wire.Spec) plan.ServiceInput {
	return plan.ServiceInput{Args: []string{"brig-worker"}, FDs: 3, Worker: true, Capabilities: copying, View: &plan.Input{Spec: s}, Host: goldenHost()}
}

// CVE-2026-41568, CVE-2026-42306: what prepares a copy made files and mounts by name while the container ran, which
// exchanged the names. Here nothing is prepared in a container that runs: no name of it is used before the worker is
// confined. Root of the container itself could make the same calls with less.
func TestCopierOfARunningContainerMountsNothing(t *testing.T) {
	p, err := plan.Service(copier(nil))
	must(t, err)
	inside := slices.IndexFunc(p.Ops, func(op *plan.Op) bool { return op.Nr == unix.SYS_SETNS && op.Stage == "" })
	for _, op := range p.Ops[inside:] {
		switch op.Nr {
		case unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT, unix.SYS_FSMOUNT, unix.SYS_MKDIRAT, unix.SYS_MKNODAT, unix.SYS_PIVOT_ROOT, unix.SYS_UMOUNT2,
			unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_SYMLINKAT, unix.SYS_UNLINKAT:
			if op.Label == "" && op.Stage == "" && op.Kind == 0 && op.Nr != 0 {
				t.Errorf("the plan does this: %s", op.What)
			}
		case unix.SYS_OPEN_TREE:
			if op.Args[1] != "/" {
				t.Errorf("the plan clones %v", op.Args[1])
			}
		}
	}
}

// runCopier runs a script of busybox in the worker's place. What it writes comes back.
func runCopier(t *testing.T, script string, in plan.ServiceInput, fds map[string]int) string {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	in.Args, in.Host = []string{"sh", "-c", script}, host(t)
	changes, err := rootfs.Tmpfs(1<<20, 0o755, base, base, "")
	must(t, err)
	fds["exe"], fds["landlock"] = memfd(t, "/bin/busybox"), landlock(t)
	fds["fd0"], fds["fd1"], fds["fd2"] = int(w.Fd()), changes, int(w.Fd())
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	fds["stdin"], fds["stdout"], fds["stderr"] = null, null, null
	p, err := plan.Service(in)
	must(t, err)
	_, fd, err := calls.Start(p, fds, child(t, 0), nil)
	w.Close()
	must(t, err)
	defer unix.Close(fd)
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
	out, err := io.ReadAll(r)
	if err != nil {
		_ = pidfd.Signal(fd, unix.SIGKILL)
	}
	_, waitErr := pidfd.Wait(fd, false)
	must(t, waitErr)
	must(t, err)
	return string(out)
}

func TestCopierSeesARunningContainer(t *testing.T) {
	pid, fd := running(t)
	// Its proc is of another process namespace, in which the worker is not.
	out := runCopier(t, `exec >&3; echo /*; cat /etc/hosts; ls /proc/self 2>&1 | grep -c 'No such'; touch /tmp/made; ls /proc | grep -c '^[0-9]*$'; id -u; ls -d /proc/1/root/* 2>&1 | wc -l`,
		copier(nil), map[string]int{"pid1": fd})
	if !strings.HasPrefix(out, "/bin /dev /etc /home /proc /sys /tmp\n") || !strings.Contains(out, "127.0.0.1 localhost\n1\n") {
		t.Errorf("the worker saw %q", out)
	}
	seen := join(t, fd, spec("sh", "-c", "ls /tmp; ps | grep -c '[l]s /proc' ").Process, nil)
	expect(t, seen, "made\n0")
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/tmp/made", pid)); err != nil {
		t.Error(err)
	}
}

func TestCopierIsInvisibleInside(t *testing.T) {
	_, fd := running(t)
	before := join(t, fd, spec("sh", "-c", "set -- /proc/[0-9]*; echo $#; echo go > /tmp/file").Process, nil)
	join(t, fd, spec("mknod", "/tmp/fifo", "p").Process, nil)
	done := make(chan string)
	go func() {
		done <- runCopier(t, "read x </tmp/fifo; echo done >&3", copier(nil), map[string]int{"pid1": fd})
	}()
	inside := join(t, fd, spec("sh", "-c", "set -- /proc/[0-9]*; echo $#; echo go > /tmp/fifo").Process, nil)
	if before != inside {
		t.Errorf("processes inside before and during a copy: %q %q", before, inside)
	}
	<-done
}

func TestCopierOfAStoppedContainerSeesWhatAStartWould(t *testing.T) {
	s := spec("true")
	s.WritableRoot = false
	b := prepare(t, image(t), s)
	fds := b.fds
	out := runCopier(t, `exec >&3; echo /*; cat /etc/hosts; touch /tmp/x 2>&1 | grep -c Read-only; ls /proc | grep -c '^[0-9]*$'; ls -A /proc/scsi /proc/acpi 2>/dev/null | grep -c '[a-z]$'`,
		copier(s), fds)
	if !strings.HasPrefix(out, "/bin /dev /etc /home /proc /sys /tmp\n127.0.0.1 localhost\n1\n") {
		t.Errorf("the worker saw %q", out)
	}
	if _, err := os.Stat(filepath.Join("/", "written")); err == nil {
		t.Error("the host has it")
	}
}
