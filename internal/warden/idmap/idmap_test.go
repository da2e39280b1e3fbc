package idmap

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// A pair is what a container is born into: the network namespace belongs to the user namespace.
func TestPairBelongsTogetherAndOutlivesItsMaker(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	user, net, route, err := NewSandbox(0x70020000, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(user)
	defer unix.Close(net)
	defer unix.Close(route)
	const nsGetUserns = 0xb701 // NS_GET_USERNS
	owner, err := unix.IoctlRetInt(net, nsGetUserns)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(owner)
	var a, b unix.Stat_t
	if err := unix.Fstat(owner, &a); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fstat(user, &b); err != nil {
		t.Fatal(err)
	}
	if a.Ino != b.Ino {
		t.Fatalf("the network namespace belongs to %d, not to %d", a.Ino, b.Ino)
	}
}

func TestImpossibleMapIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	for _, e := range []Extent{{0, 0x70020000, 0}, {0xfffffff0, 0x70020000, 100}} {
		if fd, err := NewUserns(e, e); err == nil {
			unix.Close(fd)
			t.Errorf("%+v was accepted", e)
		}
	}
}

func TestMapsOfVolumesAndBindsMeetTheSandbox(t *testing.T) {
	const base = 0x70020000
	if v := Volume(base); v.Inside != VolumeBase || v.Outside != base || v.Size != Size {
		t.Errorf("volume: %+v", v)
	}
	if s := Single(1000, base, 33); s.Inside != 1000 || s.Outside != base+33 || s.Size != 1 {
		t.Errorf("bind: %+v", s)
	}
}

// A network namespace for who joins a sandbox is owned by the user namespace that is there.
func TestASandboxWithinAUserNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	const base = 0x70020000
	user, net, route, err := NewSandbox(base, 0)
	if err != nil {
		t.Fatal(err)
	}
	within, net2, route2, err := NewSandbox(base, user)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := unix.IoctlRetInt(net2, unix.NS_GET_USERNS)
	if err != nil {
		t.Fatal(err)
	}
	var have [5]unix.Stat_t
	for i, fd := range []int{user, within, owner, net, net2} {
		if err := unix.Fstat(fd, &have[i]); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	unix.Close(route)
	unix.Close(route2)
	if have[0].Ino != have[1].Ino || have[0].Ino != have[2].Ino || have[3].Ino == have[4].Ino {
		t.Errorf("user namespaces %d, %d, owner %d; network namespaces %d and %d", have[0].Ino, have[1].Ino, have[2].Ino, have[3].Ino, have[4].Ino)
	}
}

func BenchmarkSandbox(b *testing.B) {
	for b.Loop() {
		user, net, route, err := NewSandbox(0x70020000, 0)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(user)
		unix.Close(net)
		unix.Close(route)
	}
}

// takeAll enters a user namespace as its root and takes inotify instances there, n at most; it holds them until the test
// ends.
func takeAll(t *testing.T, user, n int) error {
	t.Helper()
	p := clone.New()
	ns, _ := p.NewSlot()
	p.Input(ns)
	p.Add(clone.Step{Nr: unix.SYS_SETNS, From: [6]clone.Slot{ns}, Args: [6]uintptr{0, unix.CLONE_NEWUSER}})
	p.Add(clone.Step{Nr: unix.SYS_SETRESUID})
	for range n {
		p.Add(clone.Step{Nr: unix.SYS_INOTIFY_INIT1})
	}
	p.Gate()
	child := clone.NewChild(0)
	if err := child.Start(p, []int{user}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Kill)
	_, err := child.Await()
	return err
}

// What a container takes all of is its own: the kernel charges the maker of a user namespace, who must not be the same for
// two of them (A2).
func TestNoContainerTakesWhatIsAnothers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_instances")
	most, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || most == 0 || most > 1000 {
		t.Skipf("missing: a limit of inotify instances that can be reached: %d, %v", most, err)
	}
	var users []int
	for _, base := range []uint32{0x70020000, 0x70030000} {
		user, err := NewUserns(Range(base), Range(base))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(user)
		users = append(users, user)
	}
	if err := takeAll(t, users[0], most); err != nil {
		t.Errorf("a container that is alone does not get %d inotify instances: %v", most, err)
	}
	if err := takeAll(t, users[1], 1); err != nil {
		t.Errorf("its neighbour gets none: %v", err)
	}
	if err := takeAll(t, users[0], 1); !errors.Is(err, unix.EMFILE) {
		t.Errorf("the container gets more than %d, %v: nothing was measured", most, err)
	}
}
