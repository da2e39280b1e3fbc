package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestMain lets this test's program be process 1 and the agent of a room, as the bench itself is, and what runs there.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == idleProgram {
		applet(os.Args[1])
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case roomWord:
			os.Exit(roomMain(os.Args[2:]))
		case agentWord:
			os.Exit(agentMain())
		}
	}
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

func TestNoPlaceholderIsUnknown(t *testing.T) {
	for _, e := range engines("/bin", "group") {
		for _, words := range [][]string{
			e.Daemon, e.Ready, e.Open, e.Stop, e.Load, e.Once, e.Exec, e.Idle, e.Remove, e.Unload,
		} {
			filled := fill(words, "/dir", "/archive", "image")
			filled = (&job{Command: filled, Prefix: "i"}).command(7)
			if i := slices.IndexFunc(filled, func(w string) bool { return strings.ContainsAny(w, "{}") }); i >= 0 {
				t.Errorf("%s: %q", e.Name, filled)
			}
		}
	}
}

func TestArchivesHaveTheSameBytesEachTime(t *testing.T) {
	var seen [2][]byte
	busybox := likeBusybox(t)
	for i := range seen {
		dir := t.TempDir()
		layer, archive := filepath.Join(dir, "layer"), filepath.Join(dir, "archive")
		id, err := writeLayer(layer, busybox, 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeArchive(archive, smallImage, layer, id); err != nil {
			t.Fatal(err)
		}
		if seen[i], err = os.ReadFile(archive); err != nil {
			t.Fatal(err)
		}
	}
	if string(seen[0]) != string(seen[1]) {
		t.Error("two archives of the same differ")
	}
	var names []string
	for r := tar.NewReader(strings.NewReader(string(seen[0]))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if len(names) != 3 || names[2] != "manifest.json" {
		t.Errorf("entries: %q", names)
	}
}

func TestBundlesAreConfined(t *testing.T) {
	dir := t.TempDir()
	if err := makeBundles(dir, likeBusybox(t)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"once", "idle"} {
		text, err := os.ReadFile(filepath.Join(dir, name, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var s specs.Spec
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		if s.Linux.Seccomp == nil || len(s.Linux.Seccomp.Syscalls) == 0 || !s.Process.NoNewPrivileges {
			t.Errorf("%s: a peer must not be measured without what Docker confines with", name)
		}
	}
}

// TestRoomsEndWithAllThatIsInThem starts a program that stays in a room and closes the room.
func TestRoomsEndWithAllThatIsInThem(t *testing.T) {
	name := "brig-bench-test-" + filepath.Base(t.TempDir())
	t.Cleanup(func() {
		if err := sweepCgroups(name); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	r, err := openRoom(context.Background(), plan{Dir: dir, Cgroup: name}, systemPath)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	busybox := likeBusybox(t)
	for _, j := range []job{
		{Op: opDaemon, Command: []string{busybox, "sleep", sleep}, Log: filepath.Join(dir, "log")},
	} {
		if _, err := r.do(j); err != nil {
			t.Fatal(err)
		}
	}
	a, err := r.do(job{Op: opMemory})
	if err != nil || a.Memory.Programs != 1 || a.Memory.Processes != 0 {
		t.Fatalf("memory of a room with one idle program: %+v, %v", a.Memory, err)
	}
	if _, err := r.do(job{Op: opTime, Command: []string{busybox, "false"}}); err == nil {
		t.Error("a command line that fails was timed as if it had not")
	}
	many, err := r.do(job{Op: opMany, Command: []string{busybox, "true"}, Workers: 2, Count: 10})
	if err != nil || many.Count != 10 || many.Took <= 0 {
		t.Errorf("10 starts: %+v, %v", many, err)
	}
	pid := r.cmd.Process.Pid
	r.close()
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("process 1 of the room is still there: %v", err)
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
	path := filepath.Join(t.TempDir(), idleProgram)
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
