package room

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets this test's program be process 1 and the agent of a room, as those who open one are, and what runs there.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == IdleProgram {
		applet(os.Args[1])
	}
	Main()
	os.Exit(m.Run())
}

func TestSaidVersions(t *testing.T) {
	for text, want := range map[string]string{
		"Docker version 20.10.24+dfsg1, build 5d4dc17": "20.10.24+dfsg1",
		"podman version 4.3.1":                         "4.3.1",
		"crun version 1.8.1\ncommit: 9":                "1.8.1",
		"no number\n1.2":                               "unknown",
		"":                                             "unknown",
	} {
		if got := saidVersion(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestRoomsEndWithAllThatIsInThem starts a program that stays in a room and closes the room.
func TestRoomsEndWithAllThatIsInThem(t *testing.T) {
	name := "brig-room-test-" + filepath.Base(t.TempDir())
	t.Cleanup(func() {
		if err := SweepCgroups(name); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	r, err := Open(context.Background(), Plan{Dir: dir, Cgroup: name}, SystemPath)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	busybox := likeBusybox(t)
	for _, j := range []Job{
		{Op: OpDaemon, Command: []string{busybox, "sleep", "9"}, Log: filepath.Join(dir, "log")},
	} {
		if _, err := r.Do(j); err != nil {
			t.Fatal(err)
		}
	}
	a, err := r.Do(Job{Op: OpMemory})
	if err != nil || a.Memory.Programs != 1 || a.Memory.Processes != 0 {
		t.Fatalf("memory of a room with one idle program: %+v, %v", a.Memory, err)
	}
	if _, err := r.Do(Job{Op: OpTime, Command: []string{busybox, "false"}}); err == nil {
		t.Error("a command line that fails was timed as if it had not")
	}
	many, err := r.Do(Job{Op: OpMany, Command: []string{busybox, "true"}, Workers: 2, Count: 10})
	if err != nil || many.Count != 10 || many.Took <= 0 {
		t.Errorf("10 starts: %+v, %v", many, err)
	}
	pid := r.cmd.Process.Pid
	r.Close()
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("process 1 of the room is still there: %v", err)
	}
}

// TestARoomThatCannotBeFurnishedIsAnError, and not somebody who waits.
func TestARoomThatCannotBeFurnishedIsAnError(t *testing.T) {
	name := "brig-room-test-" + filepath.Base(t.TempDir())
	t.Cleanup(func() { SweepCgroups(name) })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if r, err := Open(ctx, Plan{Dir: t.TempDir(), Cgroup: name, Tree: "/nowhere"}, SystemPath); err == nil {
		r.Close()
		t.Error("a room was opened over a tree that is not there")
	}
	if ctx.Err() != nil {
		t.Error("nobody noticed that the room was gone")
	}
}

func TestAHostHasANetworkAndItsOutputIsKeptWhole(t *testing.T) {
	name := "brig-room-test-" + filepath.Base(t.TempDir())
	t.Cleanup(func() {
		if err := SweepCgroups(name); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	r, err := Open(context.Background(), Plan{Dir: dir, Cgroup: name, Host: true}, SystemPath)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	script := "cat /proc/net/route; ulimit -c; head -c 5000 /dev/zero; echo complaint >&2; exit 3"
	out := filepath.Join(dir, "out")
	a, err := r.Do(Job{Op: OpKeep, Log: out, Limit: 20 * time.Second, Command: []string{"sh", "-c", script}})
	if err != nil || a.Status != 3 || a.Output != "complaint" {
		t.Errorf("%+v, %v", a, err)
	}
	text, err := os.ReadFile(out)
	if err != nil || len(text) < 5000 || !strings.Contains(string(text), "eth0\t00000000\t017100CB") {
		t.Errorf("no default route by 203.0.113.1: %.500q, %v", text, err)
	}
	if _, err := r.Do(Job{Op: OpKeep, Log: out, Limit: time.Millisecond, Command: []string{"sleep", "9"}}); err == nil {
		t.Error("a command line that hangs was not ended")
	}
}

func TestGroupsThatAreThereAreNotOurs(t *testing.T) {
	name := "brig-room-test-" + filepath.Base(t.TempDir())
	if got := Missing([]string{name, "/"}); len(got) != 1 || got[0] != name {
		t.Errorf("%q", got)
	}
}

// applet is as much of busybox as these tests need.
func applet(name string) {
	switch name {
	case "true":
		os.Exit(0)
	case "sleep":
		time.Sleep(time.Hour)
	}
	os.Exit(1)
}

// likeBusybox is a copy of this program under the name that tells a container's program from an engine's.
func likeBusybox(t *testing.T) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), IdleProgram)
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
