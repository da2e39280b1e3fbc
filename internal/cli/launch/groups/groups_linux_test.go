package groups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/control"
	"github.com/brig-engine/brig/internal/wire"
)

// fakeV2 is a machine with version 2 alone, made of plain directories and files; own is this process's group.
func fakeV2(t *testing.T, controllers, own string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, own), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", own} {
		file := filepath.Join(dir, d, "cgroup.controllers")
		if err := os.WriteFile(file, []byte(controllers+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func fakeMake(t *testing.T, dir, own string) (made wire.Groups, missing []string) {
	t.Helper()
	root := func([]string) (int, error) { return control.Dir(unix.AT_FDCWD, dir) }
	made, missing, err := makeBelow("brig", "0::"+own+"\n", root, unix.O_CREAT|unix.O_TRUNC)
	if err != nil {
		t.Fatal(err)
	}
	return made, missing
}

func TestControllersAreHandedToTheContainers(t *testing.T) {
	dir := fakeV2(t, "cpuset cpu io memory hugetlb pids", "/")
	made, missing := fakeMake(t, dir, "/")
	if len(missing) != 0 || len(made.Hierarchies) != 1 || made.Hierarchies[0].Path != "/brig" || made.Hierarchies[0].Mounted != nil ||
		!slices.Equal(made.Hierarchies[0].Used, []string{"cpuset", "cpu", "blkio", "memory", "hugetlb", "pids"}) {
		t.Errorf("made %+v", made)
	}
	for _, file := range []string{"cgroup.subtree_control", "memory.max", "pids.max"} {
		if b, err := os.ReadFile(filepath.Join(dir, "brig", file)); err != nil || len(b) == 0 {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
}

func TestKernelWithoutControllersIsReported(t *testing.T) {
	_, missing := fakeMake(t, fakeV2(t, "cpu pids", "/"), "/")
	if len(missing) != 2 || !strings.HasPrefix(missing[1], "memory control group") {
		t.Errorf("missing: %q", missing)
	}
}

func TestUnitLeavesItsInnerGroupForTheEngineLeaf(t *testing.T) {
	unit := "/system.slice/brig.service"
	for _, own := range []string{unit, unit + "/engine"} {
		dir := fakeV2(t, "cpu memory pids", own)
		if own != unit {
			if err := os.WriteFile(filepath.Join(dir, unit, "cgroup.controllers"), []byte("cpu\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, unit, "cgroup.type"), []byte("domain\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, unit, "cgroup.procs"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		made, _ := fakeMake(t, dir, own)
		if made.Hierarchies[0].Path != unit+"/brig" {
			t.Errorf("made %+v", made)
		}
		for _, group := range []string{"engine", "brig"} {
			if _, err := os.Stat(filepath.Join(dir, unit, group)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLoginSessionIsLeftAlone(t *testing.T) {
	session := "/user.slice/user-0.slice/session-1.scope"
	dir := fakeV2(t, "cpu memory pids", session)
	fakeMake(t, dir, session)
	if _, err := os.Stat(filepath.Join(dir, "brig")); err != nil {
		t.Error(err)
	}
}

func TestHierarchiesAreFoundFromOurOwnGroups(t *testing.T) {
	var asked []string
	dir := t.TempDir()
	for _, d := range []string{"x", "mine"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("io rdma"), 0o600); err != nil {
		t.Fatal(err)
	}
	const self = "6:name=systemd:/none\n5:cpu,cpuacct:/\n4:memory:/x\n3:pids:/../mine\n2:devices:/none\njunk\n"
	list, err := discover(self,
		func(controllers []string) (int, error) {
			asked = append(asked, strings.Join(controllers, ","))
			return control.Dir(unix.AT_FDCWD, dir)
		})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(list)
	var got []string
	for _, h := range list {
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", h.base))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join(h.Used, ",")+" "+strings.TrimPrefix(link, dir))
	}
	if want := []string{"blkio ", "cpu ", "memory /x", "pids /mine"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"", "cpu,cpuacct", "memory", "pids"}; !slices.Equal(asked, want) {
		t.Errorf("mounted %q, want %q", asked, want)
	}
	for _, fail := range []string{"", "memory"} {
		if _, err := discover("4:memory:/\n", func(controllers []string) (int, error) {
			if strings.Join(controllers, ",") == fail {
				return -1, unix.EPERM
			}
			return control.Dir(unix.AT_FDCWD, dir)
		}); !errors.Is(err, unix.EPERM) {
			t.Errorf("hierarchy %q that cannot be mounted: %v", fail, err)
		}
	}
}

func FuzzDiscoverNeverLeavesTheMount(f *testing.F) {
	f.Add("1:memory:/a\n")
	f.Add("2:cpu,cpuacct:/a/b/../../../c\n0::/../..\n")
	f.Fuzz(func(t *testing.T, self string) {
		top := t.TempDir()
		if err := os.WriteFile(filepath.Join(top, "cgroup.controllers"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := discover(self, func([]string) (int, error) { return control.Dir(unix.AT_FDCWD, top) })
		if err != nil {
			return
		}
		defer closeAll(list)
		for _, h := range list {
			link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", h.base))
			if err != nil || link != top && !strings.HasPrefix(link, top+"/") {
				t.Errorf("%q is outside %q (%v)", link, top, err)
			}
		}
	})
}

func closeAll(list []*hierarchy) {
	for _, h := range list {
		unix.Close(h.base)
	}
}
