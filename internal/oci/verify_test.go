package oci

import (
	"strings"
	"testing"
)

func TestCovered(t *testing.T) {
	const host = "27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n"
	const built = host + "50 27 254:0 /r /b/rootfs rw - ext4 /dev/vda rw\n51 50 0:40 / /b/rootfs/proc rw - proc proc rw\n52 50 0:41 / /b/rootfs/dev rw - tmpfs tmpfs rw\n"
	for _, test := range []struct{ name, more, want string }{
		{"nothing", "", ""},
		{"what may be told", "53 51 0:42 / /b/rootfs/proc/meminfo rw - fuse lxcfs rw\n", ""},
		{"attributes", "53 51 0:42 / /b/rootfs/proc/self/attr rw - tmpfs tmpfs rw\n", "/proc/self/attr"},
		{"below what may", "53 51 0:42 / /b/rootfs/proc/meminfo rw - tmpfs tmpfs rw\n54 53 0:43 / /b/rootfs/proc/meminfo/x rw - tmpfs tmpfs rw\n", "/proc/meminfo/x"},
		{"all of it", "53 51 0:42 / /b/rootfs/proc rw - tmpfs tmpfs rw\n", "/proc"},
		{"of the host", "53 22 0:42 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw\n", ""},
	} {
		if got := covered(built+test.more, "/b/rootfs"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	over := host + "50 27 254:0 /r / rw - ext4 /dev/vda rw\n51 50 0:40 / /proc rw - proc proc rw\n53 51 0:42 / /proc/kcore rw - tmpfs tmpfs rw\n"
	if got := covered(over, "/b/rootfs"); got != "/proc/kcore" {
		t.Errorf("a root that covers the host's: %q", got)
	}
	blank := strings.ReplaceAll(built, "/b/rootfs", `/b\040c/rootfs`) + "53 51 0:42 / /b\\040c/rootfs/proc/kcore rw - tmpfs tmpfs rw\n"
	if got := covered(blank, "/b c/rootfs"); got != "/proc/kcore" {
		t.Errorf("a path with a blank: %q", got)
	}
}

func TestHomeOf(t *testing.T) {
	passwd := "root:x:0:0::/root:/bin/sh\nbad:x:7\nmate:x:7:7:a:b:c:/home/mate:/bin/sh\nmate:x:7:7::relative:/bin/sh\nmate:x:7:7::/home/mate:/bin/sh\n"
	for uid, want := range map[uint32]string{0: "/root", 7: "/home/mate", 8: "/"} {
		if got := homeOf(passwd, uid); got != want {
			t.Errorf("%d: %q, want %q", uid, got, want)
		}
	}
}

func TestSignals(t *testing.T) {
	for _, s := range []string{"9", "KILL", "SIGKILL", "kill"} {
		if n, err := parseSignal(s); err != nil || n != 9 {
			t.Errorf("%s: %d %v", s, n, err)
		}
	}
	for _, s := range []string{"0", "65", "-1", "NONSENSE", ""} {
		if n, err := parseSignal(s); err == nil {
			t.Errorf("%q is %d", s, n)
		}
	}
}
