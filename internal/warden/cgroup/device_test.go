package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/wire"
)

// The program is enforced, not only loaded: a process of the group reads /dev/null, and cannot open what is not listed.
func TestDeviceProgramRefusesWhatIsNotListed(t *testing.T) {
	p := live(t)
	if p.host.unified == nil {
		t.Skip("missing: version 2 control groups")
	}
	var err error
	if p.prog, err = bpf.LoadProgram(bpf.CgroupDevice, "brig_devices", deviceProgram(nil)); err != nil {
		t.Fatal(err)
	}
	node := wire.DeviceRule{Type: "c", Major: 1, Minor: -1, Access: "m"}
	char := wire.DeviceRule{Type: "c", Major: -1, Minor: -1, Access: "rwm"}
	kmsg := wire.DeviceRule{Type: "c", Major: 1, Minor: 11, Access: "r"}
	for _, tc := range []struct {
		id, script string
		rules      []wire.DeviceRule
		refused    bool
	}{
		{"null", "echo x >/dev/null; head -c 1 /dev/zero; exec 3</dev/urandom", nil, false},
		{"kmsg", "exec 3</dev/kmsg", nil, true},
		{"kmsg-r", "exec 3</dev/kmsg", []wire.DeviceRule{kmsg}, false},
		{"kmsg-w", "exec 3>>/dev/kmsg", []wire.DeviceRule{kmsg}, true},
		{"mknod", "mknod " + t.TempDir() + "/null c 1 3", nil, true},
		{"mknod-m", "mknod " + t.TempDir() + "/null c 1 3", []wire.DeviceRule{node}, false},
		{"block", "mknod " + t.TempDir() + "/b b 7 0", []wire.DeviceRule{char}, true},
	} {
		g, err := p.Create(tc.id, usual)
		if err != nil {
			t.Fatal(err)
		}
		a, err := g.Attach()
		if err != nil {
			t.Fatal(err)
		}
		if err := g.attachProgram(tc.rules); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", tc.script)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: a.Dir}
		null, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.Stdout = null, null
		out := &strings.Builder{}
		cmd.Stderr = out
		err = cmd.Run()
		null.Close()
		a.Close()
		if (err != nil) != tc.refused || tc.refused && !strings.Contains(out.String(), "not permitted") {
			t.Errorf("%s: refused %v, want %v: %s", tc.id, err != nil, tc.refused, out)
		}
	}
}

// The same rules, in version 1's own words.
func TestDeviceListRefusesWhatIsNotListed(t *testing.T) {
	p := live(t)
	if p.host.find("devices") == nil {
		t.Skip("missing: devices control group of version 1")
	}
	g, err := p.Create("list", usual)
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, g, "exec 3</dev/null 4</dev/kmsg")
	if cmd.Wait() == nil {
		t.Error("/dev/kmsg could be opened")
	}
	got := readPath(filepath.Join("/proc/self/fd", strconv.Itoa(p.host.find("devices").fd), "list/devices.list"))
	want := "c 1:3 rw\nc 1:5 rw\nc 1:7 rw\nc 1:8 rw\nc 1:9 rw\nc 5:0 rw\nc 5:2 rw\nc 136:* rw"
	if got != want {
		t.Errorf("devices.list:\n%s", got)
	}
}
