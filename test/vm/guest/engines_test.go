package guest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// timed runs a command line and wants success.
func timed(t *testing.T, line string) string {
	t.Helper()
	begin := time.Now()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	t.Logf("%s: %s", line, time.Since(begin).Round(10*time.Millisecond))
	return strings.TrimSpace(string(out))
}

// leads has an engine live a container's life, whose scope systemd makes for brig-oci.
func leads(t *testing.T, engine, run, image, unit string) {
	id := timed(t, engine+" "+run+" -d --name one --memory 32m --memory-swap 32m --pids-limit 20 --cpus 0.5 "+image+" sleep 1000")
	unit = fmt.Sprintf(unit, id)
	wants := func(properties map[string]string) {
		t.Helper()
		for name, want := range properties {
			if got := show(t, unit, name); got != want {
				t.Errorf("%s of %s is %q, want %q", name, unit, got, want)
			}
		}
	}
	wants(map[string]string{"ActiveState": "active", "Description": "container of brig-oci", "Delegate": "yes", "MemoryMax": "33554432",
		"MemorySwapMax": "0", "TasksMax": "20", "CPUQuotaPerSecUSec": "500ms"})
	group := "/sys/fs/cgroup" + show(t, unit, "ControlGroup")
	if got := text(t, group+"/memory.max"); got != "33554432" {
		t.Errorf("memory.max is %s", got)
	}
	if out := timed(t, engine+" exec one cat /proc/self/cgroup"); out != "0::/" {
		t.Errorf("exec is in %s", out)
	}
	timed(t, engine+" pause one")
	timed(t, engine+" unpause one")
	timed(t, engine+" update --memory 48m --memory-swap 48m one")
	wants(map[string]string{"MemoryMax": "50331648"})
	systemctl(t, "daemon-reload")
	if got := text(t, group+"/memory.max"); got != "50331648" {
		t.Errorf("memory.max is %s", got)
	}
	if out := timed(t, engine+" stats --no-stream one"); !strings.Contains(out, "one") {
		t.Error(out)
	}
	timed(t, engine+" stop -t 1 one")
	timed(t, engine+" start one")
	wants(map[string]string{"ActiveState": "active"})
	timed(t, engine+" rm -f one")
	gone(t, unit)
	if out := timed(t, engine+" "+run+" --rm "+image+" echo hello"); out != "hello" {
		t.Errorf("%q", out)
	}
	out, err := exec.Command("sh", "-c", engine+" "+run+" --rm --memory 32m --memory-swap 32m "+image+" tail /dev/zero").CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 137 {
		t.Errorf("%v: %s", err, out)
	}
	if left := systemctl(t, "list-units", "--all", "--plain", "--no-legend", fmt.Sprintf(strings.ReplaceAll(unit, id, "%s"), "*")); left != "" {
		t.Errorf("left: %s", left)
	}
}

func bus(t *testing.T) {
	t.Helper()
	if strings.Contains(text(t, "/etc/passwd"), "messagebus") {
		return
	}
	for file, line := range map[string]string{"/etc/passwd": "messagebus:x:100:100::/:/bin/false\n", "/etc/group": "messagebus:x:100:\n"} {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = f.WriteString(line)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	systemctl(t, "start", "dbus.socket")
}

func TestEnginesPodman(t *testing.T) {
	bus(t)
	box(t)
	leads(t, "/usr/bin/podman --root /data/podman --cgroup-manager systemd --runtime /vm/bin/brig-oci --events-backend file", "run --network none", "--rootfs /run/box", "libpod-%s.scope")
}

func TestEnginesDocker(t *testing.T) {
	bus(t)
	box(t)
	log, err := os.Create("/data/dockerd.log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/dockerd", "--exec-opt", "native.cgroupdriver=systemd", "--add-runtime", "brig-oci=/vm/bin/brig-oci", "--iptables=false",
		"--ip6tables=false", "--bridge=none", "--data-root", "/data/docker", "-G", "root")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile("/data/dockerd.log")
			t.Logf("%s", b[max(0, len(b)-5000):])
		}
	})
	for end := time.Now().Add(time.Minute); exec.Command("/usr/bin/docker", "version").Run() != nil; time.Sleep(500 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("dockerd does not answer")
		}
	}
	timed(t, "/usr/bin/docker import /run/box.tar box")
	leads(t, "/usr/bin/docker", "run --network none --runtime brig-oci", "box", "docker-%s.scope")
}
