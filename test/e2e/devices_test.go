package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// needDevice skips where the machine has no such device.
func needDevice(t *testing.T, path string) {
	t.Helper()
	if st, err := os.Stat(path); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		t.Skip("missing: " + path)
	}
}

// opens tells which of r and w a container can open a device for.
const opens = `for d in %s; do [ -c $d ] || echo none; (exec 3< $d) 2>/dev/null && echo r; (exec 3> $d) 2>/dev/null && echo w; done; true`

func TestDevicesOfTheHost(t *testing.T) {
	needDevice(t, "/dev/fuse")
	e := startEngine(t).withBusybox()
	for name, c := range map[string]struct{ option, at, want string }{
		"without":        {"--label a=b", "/dev/fuse", "none"},
		"both":           {"--device /dev/fuse", "/dev/fuse", "r\nw"},
		"reading":        {"--device /dev/fuse:/dev/a/b:r", "/dev/a/b", "r"},
		"writing":        {"--device /dev/fuse:/dev/c:w", "/dev/c", "w"},
		"two":            {"--device /dev/fuse:/dev/c:r --device /dev/null:/dev/d", "/dev/c /dev/d", "r\nr\nw"},
		"read-only root": {"--read-only --device /dev/fuse", "/dev/fuse", "r\nw"},
	} {
		t.Run(name, func(t *testing.T) {
			e := e.with(t)
			for client, command := range e.clients() {
				program := fmt.Sprintf(opens, c.at)
				if c.want == "none" { // where there is nothing, a shell that opens it for writing makes a file
					program = "[ -c " + c.at + " ] || echo none"
				}
				args := append(append([]string{"run", "--rm"}, strings.Fields(c.option)...), "box", "sh", "-c", program)
				if out, code := e.run(command(args...)); out != c.want || code != 0 {
					t.Errorf("%s %s: exit code %d, %q; want %q", client, c.option, code, out, c.want)
				}
			}
		})
	}
	c := e.bothClients()[0]
	c.starts("dir", "--device", "/dev/net:/dev/network", "--device", "/dev/fuse")
	if _, err := os.Stat("/dev/net/tun"); err == nil {
		if got := c.does("exec", "dir", "sh", "-c", "[ -c /dev/network/tun ] && echo yes; stat -c %u:%g:%a /dev/fuse"); got != "yes\n0:0:600" {
			t.Errorf("a directory, and whose a device is: %q", got)
		}
	}
	if got := c.does("exec", "dir", "sh", "-c", fmt.Sprintf(opens, "/dev/fuse")); got != "r\nw" {
		t.Errorf("executed: %q", got)
	}
	e.killed("brig-warden")
	c.does("restart", "-t", "0", "dir")
	if got := c.does("exec", "dir", "sh", "-c", fmt.Sprintf(opens, "/dev/fuse")); got != "r\nw" {
		t.Errorf("after a restart by another warden: %q", got)
	}
	for option, want := range map[string]string{
		"--device /dev/loop0":             "the floor policy gives /dev/loop0 to no container: no disk, nothing but devices",
		"--device /etc/passwd:/dev/p":     "the floor policy gives /dev/p to no container",
		"--device /dev/none":              "device /dev/none: open /dev/none: no such file",
		"--device /dev/fuse:/dev/null":    "file exists",
		"--device /dev/fuse:/dev/fd/9":    "the floor policy refuses",
		"--device /dev/fuse:/dev/shm/x/y": "", // is under what is mounted there
		"--device /dev/fuse:/fuse":        "--device /dev/fuse:/fuse:rwm: not supported: device nodes are dead everywhere but in /dev",
		"--device /dev/fuse:/dev/fuse:m":  "--device /dev/fuse:/dev/fuse:m: not supported: no container makes device nodes",
	} {
		for client, command := range e.clients() {
			out, code := e.run(command(append(append([]string{"run", "--rm"}, strings.Fields(option)...), "box", "true")...))
			if (code != 0) != (want != "") || !strings.Contains(out, want) {
				t.Errorf("%s run %s: exit code %d, %s", client, option, code, out)
			}
		}
	}
	if left := strings.Count(c.does("ps", "-aq"), "\n"); left != 0 {
		t.Errorf("%d more containers are left", left)
	}
}

// A CDI specification gives devices, variables and mounts for reading, through both clients.
func TestCDIDevices(t *testing.T) {
	needDevice(t, "/dev/fuse")
	const dir = "/run/cdi"
	switch err := os.Mkdir(dir, 0o755); {
	case err == nil:
		t.Cleanup(func() { os.Remove(dir) })
	case !errors.Is(err, os.ErrExist):
		t.Fatal(err)
	}
	vendor := fmt.Sprintf("e2e%d.brig.test", os.Getpid())
	lib := t.TempDir()
	if err := os.Chmod(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lib, "lib"), []byte("driver\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, vendor+".yaml")
	text := fmt.Sprintf(`cdiVersion: "0.6.0"
kind: %s/card
containerEdits:
  env: [CARD=all]
devices:
- name: "0"
  containerEdits:
    env: [WHICH=zero]
    deviceNodes: [{path: /dev/card0, hostPath: /dev/fuse, permissions: r}]
    mounts: [{hostPath: %s, containerPath: /usr/lib/card, options: [ro, nosuid, nodev, bind]}]
- name: hook
  containerEdits:
    hooks: [{hookName: createContainer, path: /usr/bin/touch, args: [touch, /run/cdi/ran]}]
`, vendor, lib)
	t.Cleanup(func() { os.Remove(file) })
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	e := startEngine(t).withBusybox()
	for client, command := range e.clients() {
		out, code := e.run(command("run", "--rm", "--device", vendor+"/card=0", "box", "sh", "-c",
			"echo $CARD $WHICH; cat /usr/lib/card/lib; echo x 2>/dev/null > /usr/lib/card/x || echo ro; "+fmt.Sprintf(opens, "/dev/card0")))
		if out != "all zero\ndriver\nsh: can't create /usr/lib/card/x: Read-only file system\nro\nr" && out != "all zero\ndriver\nro\nr" || code != 0 {
			t.Errorf("%s: exit code %d, %q", client, code, out)
		}
		out, code = e.run(command("run", "--rm", "--device", vendor+"/card=hook", "box", "true"))
		if code != 125 || !strings.Contains(out, "createContainer /usr/bin/touch: the rule no-hooks forbids it") {
			t.Errorf("%s, a hook: exit code %d, %s", client, code, out)
		}
		out, code = e.run(command("run", "--rm", "--device", vendor+"/card=1", "box", "true"))
		if code != 125 || !strings.Contains(out, "has the device "+vendor+"/card=1") {
			t.Errorf("%s, no such device: exit code %d, %s", client, code, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a hook was executed")
	}
}
