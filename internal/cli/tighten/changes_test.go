package tighten

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// A volume takes with it what is in it. A directory in memory does not, however it was foreseen.
func TestUnforeseenIsWhatHasNoPlace(t *testing.T) {
	a := &Advice{Options: []string{"--level", "strict", "-v", "/data", "--tmpfs", "/cache"}, Changes: map[string]int{"/x": Changed, "/cache": Added, "/cache/d": Added}}
	after := map[string]int{"/x": Changed, "/data": Changed, "/data/new": Added, "/cache": Added, "/cache/d": Added, "/cache/n": Added, "/run": Changed, "/run/pid": Added,
		"/home": Changed, "/home/saved": Added, "/database": Added, "/run/db": Added, "/run/db/s": Added, "/tmp/x": Added,
		"/run/app": Changed, "/run/app/data": Changed, "/run/app/data/rows": Changed, "/run/app/new": Added, "/run/app/new/f": Added, "/run/lock/app": Added}
	if got := strings.Join(a.Unforeseen(after), " "); got != "/cache/n /database /home/saved /run/app/data/rows /run/app/new/f" {
		t.Error(got)
	}
}

// A place that was made for a mount is none that the program wrote to, and neither are the directories above it.
func TestMountPointsAreLeftOut(t *testing.T) {
	changes := map[string]int{"/srv": Changed, "/srv/full": Changed, "/srv/full/a": Added, "/srv/full/a/b": Added, "/srv/full/file": Added,
		"/mnt": Added, "/mnt/x": Added, "/mnt/x/y": Added, "/mnt/z": Added, "/var": Changed, "/var/lib": Changed, "/var/lib/db": Added, "/var/lib/written": Added, "/vol": Added}
	LeaveOut(changes, []string{"/srv/full/a/b", "/srv/full/file", "/mnt/x/y", "/mnt/z/", "/var/lib/db", "/vol", "/", "x"})
	if got := strings.Join(slices.Sorted(maps.Keys(changes)), " "); got != "/var /var/lib /var/lib/written" {
		t.Error(got)
	}
}
