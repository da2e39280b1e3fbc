package oci

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Every kind of hook runs at its time, in its namespaces, and is told the state.
func TestHooks(t *testing.T) {
	b := newBox(t, "cat /tmp/note; "+idle)
	b.spec.Root.Readonly = false
	log := filepath.Join(b.dir, "log")
	shell := "/bin/sh"
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: shell, Args: []string{"sh", "-c", `echo "$0 $WORD $(readlink /proc/self/ns/uts) $(cat)" >> ` + log, name}, Env: []string{"WORD=said"}}}
	}
	b.spec.Hooks = &specs.Hooks{Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"),
		Poststart: hook("poststart"), Poststop: hook("poststop"),
		// This one is the container's program, and has its rights.
		StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "cat > /tmp/note; echo >> /tmp/note; grep CapBnd /proc/self/status >> /tmp/note"}, Env: []string{"PATH=/bin"}}}}
	b.write()
	b.ok("create", "--bundle", b.dir, b.id)
	b.ok("start", b.id)
	b.catches()
	b.ok("kill", b.id, "TERM")
	b.until("stopped")
	b.ok("delete", b.id)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	want := []struct {
		name, status string
		host         bool
	}{{"prestart", "created", true}, {"createRuntime", "created", true}, {"createContainer", "created", false},
		{"poststart", "running", true}, {"poststop", "stopped", true}}
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), text)
	}
	for i, w := range want {
		f := strings.SplitN(lines[i], " ", 4)
		var s specs.State
		if err := json.Unmarshal([]byte(f[3]), &s); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		if f[0] != w.name || f[1] != "said" || (f[2] == own) != w.host || string(s.Status) != w.status || s.ID != b.id || s.Bundle != b.dir {
			t.Errorf("line %d: %s", i, lines[i])
		}
	}
	note, err := os.ReadFile(filepath.Join(b.dir, "rootfs/tmp/note"))
	if err != nil || !strings.Contains(string(note), `"status":"created"`) || !strings.Contains(string(note), "CapBnd:\t0000000020000420") {
		t.Errorf("startContainer: %v %s", err, note)
	}
}

func TestHooksThatFail(t *testing.T) {
	fails := []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo because >&2; exit 4"}}}
	second := 1
	for name, hooks := range map[string]*specs.Hooks{"prestart": {Prestart: fails}, "createRuntime": {CreateRuntime: fails},
		"createContainer": {CreateContainer: fails}, "startContainer": {StartContainer: fails}, "poststart": {Poststart: fails},
		"not done in": {CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "10"}, Timeout: &second}}}} {
		b := newBox(t, "true")
		b.spec.Hooks = hooks
		b.write()
		b.refused(name, "run", "--bundle", b.dir, b.id)
		if left, _ := os.ReadDir(b.state); len(left) > 0 {
			t.Errorf("%s left %v", name, left)
		}
	}
	b := newBox(t, "true")
	b.spec.Hooks = &specs.Hooks{Poststop: fails}
	if out, status := b.once(); status != 0 || !strings.Contains(out, "because") {
		t.Errorf("a poststop hook that fails is a warning: %d %s", status, out)
	}
}
