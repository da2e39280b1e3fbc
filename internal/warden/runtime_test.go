package warden

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// A name that only brigd knows is none, and one that the policy has is for whom a rule gives it.
func TestRuntimeIsTheAdministrators(t *testing.T) {
	w := &Warden{cfg: Config{Root: t.TempDir()}}
	if err := os.Mkdir(filepath.Join(w.cfg.Root, rules.Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	s := plain()
	s.Runtime = "runc"
	for _, c := range []struct{ policy, says string }{
		{`{"grants":[{"users":[0],"allow":["runtimes=runc"]}]}`, `names no runtime "runc"`},
		{`{"grants":[{"users":[0],"allow":["runtimes=runc"]}],"runtimes":{"runc":[]}}`, `names no runtime "runc"`},
		{`{"grants":[{"users":[0],"allow":["runtimes=crun"]}],"runtimes":{"runc":["/usr/sbin/runc"]}}`, "runtimes=runc"},
		{`{"grants":[{"users":[1],"allow":["runtimes=runc"]}],"runtimes":{"runc":["/usr/sbin/runc"]}}`, "runtimes=runc"},
		{`{"grants":[{"users":[0],"allow":["runtimes=runc"]}],"runtimes":{"runc":["/usr/sbin/runc"]}}`, ""},
	} {
		if err := os.WriteFile(filepath.Join(w.cfg.Root, rules.Dir, rules.File), []byte(c.policy), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := w.checkNeeds(&s, &caller{})
		switch {
		case c.says == "" && (err != nil || !reflect.DeepEqual(got, []string{"/usr/sbin/runc"})):
			t.Errorf("%s: %q, %v", c.policy, got, err)
		case c.says != "" && (!errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", c.policy, err, c.says)
		}
	}
}

// Who has the capabilities of a runtime is in nobody else's namespaces.
func TestRuntimesAreAloneInTheirSandboxes(t *testing.T) {
	s := plain()
	s.Runtime = "runc"
	if err := checkSpec(&s, &caller{}, 4*gib); err != nil {
		t.Error(err)
	}
	s.Join.Container = strings.Repeat("a", 64)
	if err := checkSpec(&s, &caller{}, 4*gib); err == nil || !strings.Contains(err.Error(), `the runtime "runc" is alone in its sandbox`) {
		t.Errorf("%v", err)
	}
}

// What a runtime could remount is not for reading only.
func TestRuntimesGetNothingForReading(t *testing.T) {
	for _, c := range []struct {
		mount wire.Mount
		fine  bool
	}{
		{wire.Mount{Kind: wire.MountBind, Source: "/srv", Target: "/data"}, false},
		{wire.Mount{Kind: wire.MountVolume, Source: "v", Target: "/data"}, false},
		{wire.Mount{Kind: wire.MountVolume, Source: "v", Target: "/data", Writable: true}, true},
		{wire.Mount{Kind: wire.MountImage, Source: "sha256:" + strings.Repeat("a", 64), Target: "/data"}, true},
	} {
		s := plain()
		s.Runtime, s.Mounts = "runc", []wire.Mount{c.mount}
		if err := checkSpec(&s, &caller{}, 4*gib); (err == nil) != c.fine || err != nil && !strings.Contains(err.Error(), "could write to /data, which is for reading") {
			t.Errorf("%+v: %v", c.mount, err)
		}
	}
}

// A process that brigd has described gives a runtime nothing but its bounds: what brigd writes into it confines no less.
func TestARuntimeIsConfinedWhateverBrigdSays(t *testing.T) {
	want := wire.Process{Args: []string{"sh"}, Env: []string{"LD_PRELOAD=/x"}, Cwd: "/x", User: wire.User{UID: 7}, AllowNewPrivileges: true, ABI32: true,
		Filter: &wire.Filter{Listener: "/x"}, AppArmor: "x", Label: "x", OOMScoreAdj: 5, Rlimits: []wire.Rlimit{{Type: "nofile", Soft: 5, Hard: 6}}}
	p := newProgram(&Warden{}, nil, nil, &want, &process{})
	if err := p.through([]string{"/usr/sbin/runc", "--log=/x"}, []byte("{}"), "run", "id"); err != nil {
		t.Fatal(err)
	}
	defer wire.CloseAll(p.own)
	got := *p.want
	if args := []string{"/usr/sbin/runc", "--log=/x", "--root", "/run/runtime", "run", "id"}; !reflect.DeepEqual(got.Args, args) {
		t.Errorf("%q", got.Args)
	}
	if got.AllowNewPrivileges || got.ABI32 || got.Filter != nil || got.User.UID != 0 || got.Cwd != "/" || len(got.Env) != 2 || got.AppArmor+got.Label != "" ||
		got.OOMScoreAdj != 5 || len(got.Rlimits) != 1 {
		t.Errorf("%+v", got)
	}
}
