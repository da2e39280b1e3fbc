package policy

import (
	"slices"
	"testing"

	"github.com/brig-engine/brig/internal/daemon/image"
)

// A number is never a name, a name never a number (CVE-2016-3697, CVE-2026-46680, CVE-2026-30892).
func TestUsersAreWhatTheySay(t *testing.T) {
	img := &image.Image{
		Users: []image.User{{Name: "root", Home: "/root"}, {Name: "app", UID: 1000, GID: 1001, Home: "/home/app"},
			{Name: "2000"}, {Name: "far", UID: 70000}},
		Groups: []image.Group{{Name: "audio", GID: 29, Members: []string{"app"}}, {Name: "3000"}, {Name: "far", GID: 70000}},
	}
	for _, x := range []struct {
		spec     string
		uid, gid uint32
		groups   []uint32
		home     string
	}{
		{"", 0, 0, []uint32{0}, "/root"},
		{"app", 1000, 1001, []uint32{1001, 29}, "/home/app"},
		{"1000", 1000, 1001, []uint32{1001, 29}, "/home/app"},
		{"app:", 1000, 1001, []uint32{1001, 29}, "/home/app"},
		{"app:audio", 1000, 29, []uint32{29}, "/home/app"},
		{"app:0", 1000, 0, []uint32{0}, "/home/app"},
		{"0:", 0, 0, []uint32{0}, "/root"},
		{":audio", 0, 29, []uint32{29}, "/root"},
		{"2000", 2000, 0, []uint32{0}, "/"},
		{"5:3000", 5, 3000, []uint32{3000}, "/"},
	} {
		u, err := resolveUser(x.spec, img)
		if err != nil || u.UID != x.uid || u.GID != x.gid || !slices.Equal(u.Groups, x.groups) || u.home != x.home {
			t.Errorf("%q: %+v, %v, want %+v", x.spec, u, err, x)
		}
	}
	for _, bad := range []string{"nobody", "app:nogroup", "app:audio:x", "-1", "+5", "65536", "app:65536", "far", "app:far"} {
		if u, err := resolveUser(bad, img); err == nil {
			t.Errorf("%q: %+v", bad, u)
		}
	}
}
