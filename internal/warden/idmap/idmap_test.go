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
	user, net, err := NewPair(0x70020000)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(user)
	defer unix.Close(net)
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

func TestOverlappingMapIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	twice := []Extent{{0, 0x70020000, 10}, {5, 0x70030000, 10}}
	if fd, err := NewUserns(twice, twice); err == nil {
		unix.Close(fd)
		t.Fatal("overlapping extents were accepted")
	}
}

func TestMapsOfVolumesAndBindsMeetTheSandbox(t *testing.T) {
	const base = 0x70020000
	if v := Volume(base)[0]; v.Inside != VolumeBase || v.Outside != base || v.Size != Size {
		t.Errorf("volume: %+v", v)
	}
	if s := Single(1000, base, 33)[0]; s.Inside != 1000 || s.Outside != base+33 || s.Size != 1 {
		t.Errorf("bind: %+v", s)
	}
}

func BenchmarkPair(b *testing.B) {
	for b.Loop() {
		user, net, err := NewPair(0x70020000)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(user)
		unix.Close(net)
	}
}
