package wire

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/rules"
)

// kept is a spec of level strict.
func kept() Spec {
	return Spec{Process: Process{Args: []string{"x"}, User: User{UID: 1000}}}
}

func TestEveryRelaxationIsANeed(t *testing.T) {
	for want, change := range map[string]func(*Spec){
		"capabilities=12":                      func(s *Spec) { s.Process.Capabilities.Bounding = 1 << unix.CAP_NET_ADMIN },
		"capabilities=13":                      func(s *Spec) { s.Process.Capabilities.Permitted = 1 << unix.CAP_NET_RAW },
		"capabilities=63":                      func(s *Spec) { s.Process.Capabilities.Bounding = 1 << 63 },
		"capabilities=19":                      func(s *Spec) { s.Process.NoLandlock = true },
		"security-opt=no-new-privileges=false": func(s *Spec) { s.Process.AllowNewPrivileges = true },
		"security-opt=seccomp=unconfined":      func(s *Spec) { s.Process.Filter = &Filter{} },
		"security-opt=seccomp=profile":         func(s *Spec) { s.Process.Filter = &Filter{Program: make([]byte, 8)} },
		"security-opt=abi32=allow":             func(s *Spec) { s.Process.ABI32, s.Process.Filter = true, &Filter{Program: make([]byte, 8)} },
		"security-opt=apparmor=mine":           func(s *Spec) { s.Process.AppArmor = "mine" },
		"security-opt=apparmor=unconfined":     func(s *Spec) { s.Process.AppArmor = "unconfined" },
		"security-opt=label=disable":           func(s *Spec) { s.Process.Label, s.Process.Level = "disable", "s0" },
		"security-opt=label=u:r:t":             func(s *Spec) { s.Process.Label = "u:r:t" },
		"devices=/dev/fuse":                    func(s *Spec) { s.Devices = []Device{{Source: "/dev/fuse"}} },
		"ports=80":                             func(s *Spec) { s.Network.Ports = []Port{{HostPort: 80}} },
		"ulimits=rtprio":                       func(s *Spec) { s.Process.Rlimits = []Rlimit{{Type: "rtprio", Hard: 1}} },
	} {
		s := kept()
		if n := s.Needs(true); n != nil {
			t.Fatalf("a strict container needs %q", n)
		}
		change(&s)
		if n := s.Needs(false); !slices.Equal(n, []string{want}) {
			t.Errorf("%s: %q", want, n)
		}
	}
	for name, change := range map[string]func(*Spec){
		"root":           func(s *Spec) { s.Process.User.UID = 0 },
		"a writable one": func(s *Spec) { s.WritableRoot = true },
		"a capability":   func(s *Spec) { s.Process.Capabilities.Bounding = 1 << unix.CAP_KILL },
	} {
		s := kept()
		change(&s)
		if n := s.Needs(true); !slices.Equal(n, []string{"levels=standard"}) || s.Needs(false) != nil {
			t.Errorf("%s: %q", name, n)
		}
	}
	s := kept()
	s.Process.Filter = &Filter{Program: make([]byte, 8), Narrows: true, Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Listener: "/run/l.sock"}
	if n := s.Needs(true); n != nil {
		t.Errorf("a filter that only takes away: %q", n)
	}
	s = kept()
	s.Network.Ports = []Port{{HostPort: 8080}, {}}
	s.Process.Level = "s0:c1,c2"
	s.Process.Rlimits = []Rlimit{{Type: "nice"}, {Type: "nofile", Hard: 9}}
	if n := s.Needs(true); n != nil {
		t.Errorf("what everybody may: %q", n)
	}
}

func TestPolicyIsReadOrNobodyMayAnything(t *testing.T) {
	root := t.TempDir()
	may := func(p *rules.Policy, uid uint32, need string) bool {
		return p.Allow(need, &rules.Caller{UID: uid, GID: uid}, nil) != nil
	}
	p, err := ReadPolicy(root)
	if err != nil || !may(p, 0, "capabilities=12") || may(p, 0, "levels=compat") || may(p, 7, "ports=80") || p.Allow("ports=80", nil, nil) != nil {
		t.Errorf("without a file: %v %+v", err, p)
	}
	if err := os.Mkdir(filepath.Join(root, rules.Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{`{"grants":[{"users":[7],"allow":["ports=80"]}]}`: true, `null`: true, ``: false, `{`: false,
		`{"grants":[],"more":1}`: false, `{"grants":[]}{}`: false} {
		if err := os.WriteFile(filepath.Join(root, rules.Dir, rules.File), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := ReadPolicy(root)
		if (err == nil) != ok || err == nil && may(p, 0, "capabilities=12") {
			t.Errorf("%s: %v %+v", text, err, p)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"level":"strict","strict":true,"grants":[{"line":3,"users":[0],"groups":[5],"images":["a*"],"allow":["ports=*"]}]}`), "ports=80")
	f.Add([]byte(`null`), "")
	f.Fuzz(func(t *testing.T, b []byte, need string) {
		p := &rules.Policy{}
		if DecodeStrict(b, p) != nil {
			return
		}
		if g := p.Allow(need, nil, nil); g != nil {
			t.Errorf("nobody was given %q", need)
		}
		everybody := func(string) bool { return true }
		if g := p.Allow(need, &rules.Caller{UID: 1}, everybody); g != nil && !slices.ContainsFunc(g.Allow, func(a string) bool { return rules.Match(a, need) }) {
			t.Errorf("%q was given by %+v", need, g)
		}
	})
}
