package plan_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// Births, good and failing, leave no descriptor and no process behind.
func TestBirthsLeaveNothingBehind(t *testing.T) {
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(list)
	}
	root := image(t)
	once := func(args ...string) {
		b := prepare(t, root, spec(args...))
		_, _, _ = b.run(t)
	}
	children := func() string {
		list, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
		must(t, err)
		return string(list)
	}
	once("true") // opens what is opened once, and starts who forks
	before, family := count(), children()
	for range 5 {
		once("true")
		once("missing")
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if after := children(); after != family || len(strings.Fields(after)) > 1 {
		t.Errorf("children before: %s, after: %s", family, after)
	}
}

// On cgroup v2 the child is born inside (CLONE_INTO_CGROUP).
func TestChildIsBornInItsCgroup(t *testing.T) {
	dir := ""
	for _, d := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(d + "/cgroup.procs"); err == nil && dir == "" {
			if _, err := os.Stat(d + "/cgroup.controllers"); err == nil {
				dir = filepath.Join(d, fmt.Sprintf("brig-test-%d", os.Getpid()))
			}
		}
	}
	if dir == "" {
		t.Skip("missing: a cgroup v2 hierarchy")
	}
	must(t, os.Mkdir(dir, 0o755))
	t.Cleanup(func() { removeSoon(dir) })
	b := prepare(t, image(t), spec("sh", "-c", "grep ^0: /proc/self/cgroup"))
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	b.cgroup = fd
	var procs []byte
	b.atGate = func(int) (err error) {
		procs, err = os.ReadFile(dir + "/cgroup.procs")
		return err
	}
	out, _, err := b.run(t)
	must(t, err)
	expect(t, out, "0::/")
	if len(strings.Fields(string(procs))) != 1 {
		t.Errorf("processes in the cgroup at the gate: %q", procs)
	}
}

func TestTooManyMountsAreRefused(t *testing.T) {
	s := spec("true")
	for i := range 256 {
		s.Mounts = append(s.Mounts, wire.Mount{Kind: wire.MountTmpfs, Target: fmt.Sprintf("/m%d", i)})
	}
	p, err := plan.Birth(plan.Input{Spec: s})
	must(t, err)
	if _, err = p.Link(); !errors.Is(err, unix.E2BIG) {
		t.Fatalf("got %v", err)
	}
	s.Mounts = s.Mounts[:64] // the floor gives fewer
	p, err = plan.Birth(plan.Input{Spec: s, Host: plan.Host{Tasks: 12}})
	must(t, err)
	_, err = p.Link()
	must(t, err)
}

// Whatever strangers write into an image's config, a plan has relative names below the root, or there is none.
func FuzzBirth(f *testing.F) {
	f.Add("/data", "/", "sh", "PATH=/bin:/usr/bin", "/proc/kcore")
	f.Add("/../x", "/proc/self/fd/7", "./x", "PATH=", "relative")
	f.Add("/a\x00", "//", "", "PATH=::/x/../..", "/")
	f.Fuzz(func(t *testing.T, target, cwd, program, env, masked string) {
		s := &wire.Spec{Process: wire.Process{Args: []string{program}, Env: []string{env}, Cwd: cwd},
			Mounts: []wire.Mount{{Kind: wire.MountTmpfs, Target: target}}, MaskedPaths: []string{masked}}
		p, err := plan.Birth(plan.Input{Spec: s, Host: plan.Host{LastCap: 40}})
		if err != nil {
			return
		}
		if _, err := p.Link(); err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(target+"/"+masked, "/") {
			if part == ".." || strings.ContainsRune(part, 0) {
				t.Fatalf("accepted %q and %q", target, masked)
			}
		}
	})
}
