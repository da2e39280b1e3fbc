package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// step is one command line of an engine, with what it has to print and its exit status.
type step struct {
	line   string // {run} is what starts a container, with the image's name behind its options as IMAGE
	prints string
	status int
}

// lives are the things that people do with containers, one after the other.
func lives(more ...step) []step {
	return append([]step{
		{"{run} --rm IMAGE echo hello", "hello", 0},
		{"{run} --rm IMAGE false", "", 1},
		{"{run} --rm IMAGE nothing", "", 127},
		{"{run} --rm IMAGE /etc/passwd", "", 126},
		{"{run} --rm -t IMAGE tty", "/dev/pts/0", 0},
		{"{run} --rm --read-only --tmpfs /full IMAGE ls -l /full", "", 0},
		{"{run} --rm --user 7:8 -w /tmp IMAGE id", "uid=7", 0},
		{"{run} --rm --cap-drop ALL --security-opt no-new-privileges IMAGE grep -E CapBnd|NoNewPrivs /proc/self/status", "NoNewPrivs:\t1", 0},
		{"{run} --rm --privileged IMAGE ls /dev/kmsg", "/dev/kmsg", 0},
		{"{run} --rm --memory 20m IMAGE cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "20971520", 0},
		{"{run} --rm --pid host --ipc host --uts host IMAGE hostname", "", 0},
		{"{run} --rm -v volume:/data IMAGE touch /data/x", "", 0},
		{"{run} --rm -v volume:/data:ro IMAGE ls /data", "x", 0},
		{"{run} -d --name one IMAGE sleep 1000", "", 0},
		{"exec one id", "uid=0", 0},
		{"exec -t one tty", "/dev/pts/0", 0},
		{"exec -u 7 -e A=b one env", "A=b", 0},
		{"top one", "sleep 1000", 0},
		{"pause one", "", 0},
		{"unpause one", "", 0},
		{"stats --no-stream one", "one", 0},
		{"inspect -f {{.State.Status}} one", "running", 0},
		{"stop -t 1 one", "one", 0},
		{"start one", "one", 0},
		{"kill one", "one", 0},
		{"wait one", "137", 0},
		{"rm one", "one", 0},
	}, more...)
}

// Debian's Docker starts containers with --runtime brig-oci.
func TestDocker(t *testing.T) {
	e := room.DockerIO(groupName(t))
	e.Daemon = append(e.Daemon, "--add-runtime", "brig-oci="+program(t))
	lead(t, e, "missing: docker engine", []string{"docker"}, "run --runtime brig-oci", lives(
		step{"{run} --rm --init IMAGE ps", "docker-init", 0},
		step{"{run} --rm -w /made/for/it IMAGE pwd", "/made/for/it", 0},
		step{"{run} -d --name two IMAGE sleep 1000", "", 0},
		step{"update --memory 100m --memory-swap 100m --pids-limit 50 --cpus 0.5 two", "two", 0},
		step{"exec two cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600", 0},
		step{"rm -f two", "two", 0},
		step{"{run} --rm --device /dev/null:/dev/foo --sysctl net.ipv4.ip_forward=0 --ulimit nofile=100:200 IMAGE ls /dev/foo", "/dev/foo", 0},
	))
}

// Podman starts containers with --runtime PATH.
func TestPodman(t *testing.T) {
	e := room.Podman()
	e.Daemon, e.Ready = nil, nil
	words := append(append([]string{}, room.PodmanWords...), "--runtime", program(t))
	lead(t, e, "missing: podman", words, "run --network none --cgroup-parent /"+groupName(t), lives(
		step{"{run} --rm --uidmap 0:100000:5000 --gidmap 0:100000:5000 IMAGE cat /proc/self/uid_map", "100000       5000", 0},
		step{"{run} -d --name two IMAGE sleep 1000", "", 0},
		step{"update --memory 100m two", "", 0},
		step{"exec two cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600", 0},
		step{"rm -f -t 0 two", "two", 0},
	))
}

func groupName(t *testing.T) string { return fmt.Sprintf("brig-oci-%s-%d", t.Name(), os.Getpid()) }

// lead opens a room for an engine and has it do one step after the other.
func lead(t *testing.T, e room.Engine, lacks string, client []string, run string, steps []step) {
	t.Helper()
	if os.Getenv("BRIG_SLOW") == "" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	peers, err := room.FindPeers()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Find(peers); err != nil {
		t.Skip(lacks)
	}
	dir, err := os.MkdirTemp("/var/tmp", "brig-oci-") // on a disk
	if err != nil {
		t.Fatal(err)
	}
	group := groupName(t)
	t.Cleanup(func() {
		if err := errors.Join(room.SweepCgroups(append(e.Groups, group)...), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "root.tar")
	packRoot(t, archive)
	place, err := e.OpenRoom(t.Context(), peers, room.Plan{Dir: dir, Cgroup: group, Host: true})
	if err != nil {
		t.Fatal(err)
	}
	defer place.Close()
	defer e.End(place)
	if err := e.Serve(place, dir); err != nil {
		t.Fatal(err)
	}
	do := func(s step) {
		t.Helper()
		line := strings.NewReplacer("{run}", run, "IMAGE", "localhost/box:latest").Replace(s.line)
		file := filepath.Join(dir, "printed")
		a, err := place.Do(room.Job{Op: room.OpKeep, Command: append(append([]string{}, client...), strings.Fields(line)...), Log: file, Limit: time.Minute})
		text, _ := os.ReadFile(file)
		if err != nil || a.Status != s.status || !strings.Contains(string(text), s.prints) {
			t.Errorf("%s: %v, status %d, want %d and %q\n%s%s", s.line, err, a.Status, s.status, s.prints, text, a.Output)
		}
	}
	do(step{"import " + archive + " IMAGE", "", 0})
	for _, s := range steps {
		do(s)
	}
}

// packRoot writes the test's root file system as an archive.
func packRoot(t *testing.T, archive string) {
	t.Helper()
	root := t.TempDir()
	makeRoot(t, root)
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	if err := errors.Join(w.AddFS(os.DirFS(root)), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
