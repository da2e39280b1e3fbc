package cgroup

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// The program is enforced, not only loaded: a process of the group reads /dev/null, and cannot open what is not listed.
func TestDeviceProgramRefusesWhatIsNotListed(t *testing.T) {
	const read, write = unix.BPF_DEVCG_ACC_READ, unix.BPF_DEVCG_ACC_WRITE
	p := live(t)
	for _, tc := range []struct {
		id, script string
		refused    bool
		more       []Device
	}{
		{"null", "echo x >/dev/null; head -c 1 /dev/zero; exec 3</dev/full 4</dev/random 5</dev/urandom", false, nil},
		{"tty", "exec 3<>/dev/ptmx", false, nil},
		{"kmsg-r", "exec 3</dev/kmsg", true, nil},
		{"kmsg-w", "exec 3>>/dev/kmsg", true, nil},
		{"mknod", "mknod " + t.TempDir() + "/null c 1 3", true, nil},
		{"more", "exec 3</dev/kmsg; echo x >/dev/null", false, []Device{{10, 200, read}, {1, 11, read}}},
		{"more-w", "exec 3>>/dev/kmsg", true, []Device{{1, 11, read}}},
		{"more-m", "mknod " + t.TempDir() + "/kmsg c 1 11", true, []Device{{1, 11, read | write}}},
		{"other", "exec 3</dev/kmsg", true, []Device{{1, 12, read}, {2, 11, read}}},
		{"block", "mknod " + t.TempDir() + "/b b 1 3", true, nil},
	} {
		g, err := p.Create(tc.id, usual)
		if err == nil {
			err = g.Allow(tc.more)
		}
		if err != nil {
			t.Fatal(err)
		}
		dir, tasks, err := g.Attach()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", tc.script)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: dir}
		null, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.Stdout = null, null
		out := &strings.Builder{}
		cmd.Stderr = out
		err = cmd.Run()
		null.Close()
		wire.CloseAll(append(tasks, dir))
		if (err != nil) != tc.refused || tc.refused && !strings.Contains(out.String(), "not permitted") {
			t.Errorf("%s: refused %v, want %v: %s", tc.id, err != nil, tc.refused, out)
		}
	}
}
