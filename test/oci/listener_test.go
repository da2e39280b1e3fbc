package oci

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/kernel/seccomp/notify"
	"github.com/brig-engine/brig/test/listener"
)

// mkdirs are the calls that make a directory.
func mkdirs(c notify.Call) bool {
	name := seccomp.Name(runtime.GOARCH, c.Number)
	return name == "mkdir" || name == "mkdirat"
}

// A listener hears of calls before they are made, of the container's own process and of those that are executed in it, and
// what it refuses is refused. It may have every call, the one that executes the program too.
func TestListenerDecides(t *testing.T) {
	for name, action := range map[string]specs.LinuxSeccomp{
		"two calls": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActNotify}}},
		"all calls": {DefaultAction: specs.ActNotify},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, "mkdir /tmp/a || echo refused; mkdir /tmp/b; ls /tmp; sleep 1000")
			socket := filepath.Join(t.TempDir(), "l.sock")
			made := 0
			l := listener.New(t, socket, 0o600, func(c notify.Call) unix.Errno {
				if mkdirs(c) {
					if made++; made == 1 {
						return unix.EDQUOT
					}
				}
				return 0
			})
			action.ListenerPath, action.ListenerMetadata = socket, `"mine" & yours`
			b.spec.Linux.Seccomp, b.spec.Root.Readonly = &action, false
			b.write()
			b.ok("create", "--bundle", b.dir, b.id)
			b.ok("start", b.id)
			if out := b.ok("exec", b.id, "sh", "-c", "mkdir /tmp/c; until [ -d /tmp/b ]; do sleep 0.05; done; echo /tmp/*"); out != "/tmp/b /tmp/c\n" {
				t.Errorf("%q", out)
			}
			told, _, heard := l.Told()
			if len(told) != 2 || heard < 3 {
				t.Fatalf("%d processes and %d calls", len(told), heard)
			}
			first, second := told[0], told[1]
			if first.Metadata != action.ListenerMetadata || first.State.ID != b.id || first.State.Status != specs.StateCreating ||
				first.Pid == 0 || first.State.Pid != first.Pid || first.State.Bundle != b.dir || first.Version == "" {
				t.Errorf("of the container it was told %+v", first)
			}
			if second.Pid == first.Pid || second.State.Pid != first.Pid || second.State.Status != specs.StateRunning {
				t.Errorf("of what was executed it was told %+v", second)
			}
			b.ok("delete", "--force", b.id)
		})
	}
}

// Without a listener nothing runs, and nothing is left.
func TestListenerThatIsNotThere(t *testing.T) {
	b := newBox(t, "true")
	b.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: filepath.Join(t.TempDir(), "none"),
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}}
	b.write()
	b.refused("linux.seccomp.listenerPath: send a descriptor to", "run", "--bundle", b.dir, b.id)
	b.refused("does not exist", "state", b.id)
	b.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/true"}}}
	b.write()
	b.refused("with startContainer hooks", "run", "--bundle", b.dir, b.id)
	// A profile whose listener has nothing to decide needs none.
	b.spec.Hooks, b.spec.Linux.Seccomp.Syscalls = nil, nil
	b.prints()
	if out, status := b.run(nil, "run", "--bundle", b.dir, b.id); status != 0 {
		t.Errorf("status %d: %s", status, out)
	}
}
