package cgroup

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/brig-engine/brig/internal/wire"
)

// The program is enforced, not only loaded: a process of the group reads /dev/null, and cannot open what is not listed.
func TestDeviceProgramRefusesWhatIsNotListed(t *testing.T) {
	p := live(t)
	for _, tc := range []struct {
		id, script string
		refused    bool
	}{
		{"null", "echo x >/dev/null; head -c 1 /dev/zero; exec 3</dev/full 4</dev/random 5</dev/urandom", false},
		{"tty", "exec 3<>/dev/ptmx", false},
		{"kmsg-r", "exec 3</dev/kmsg", true},
		{"kmsg-w", "exec 3>>/dev/kmsg", true},
		{"mknod", "mknod " + t.TempDir() + "/null c 1 3", true},
		{"block", "mknod " + t.TempDir() + "/b b 1 3", true},
	} {
		g, err := p.Create(tc.id, usual)
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
