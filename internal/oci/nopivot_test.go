package oci

import (
	"slices"
	"testing"
)

func TestProcAndSys(t *testing.T) {
	const mountinfo = `21 1 0:19 / /sys rw - sysfs sysfs rw
22 1 0:20 / /proc rw - proc proc rw
23 22 0:21 / /proc/sys/fs/binfmt_misc rw - autofs systemd rw
24 1 0:22 / /bundle/rootfs/proc rw - proc proc rw
25 1 0:20 / /srv/a\040b rw - proc proc rw
26 22 0:20 / /proc rw - proc proc rw
27 1 0:23 / / rw - ext4 /dev/sda rw
`
	want := []string{"/sys", "/proc", "/srv/a b", "/proc"}
	if got := procAndSys(mountinfo, "/bundle/rootfs"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
