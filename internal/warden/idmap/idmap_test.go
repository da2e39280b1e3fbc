package idmap

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A pair is what a container is born into: the network namespace belongs to the user namespace.
func TestPairBelongsTogetherAndOutlivesItsMaker(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	user, net, route, err := NewSandbox(0x70020000)
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

func BenchmarkSandbox(b *testing.B) {
	for b.Loop() {
		user, net, route, err := NewSandbox(0x70020000)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(user)
		unix.Close(net)
		unix.Close(route)
	}
}
