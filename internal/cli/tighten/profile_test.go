package tighten

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestProfileAllowsWhatWasRecorded(t *testing.T) {
	b, err := Profile("amd64", []string{"write", "mkdir", "#9999", "clone3", "bind"})
	if err != nil {
		t.Fatal(err)
	}
	var p profile
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	if p.DefaultAction != "SCMP_ACT_ERRNO" || !slices.Equal(p.Architectures, []string{"SCMP_ARCH_X86_64"}) || len(p.Syscalls) != 3 {
		t.Fatalf("%s", b)
	}
	if got := strings.Join(p.Syscalls[0].Names, " "); got != "bind mkdir write" || p.Syscalls[0].Action != "SCMP_ACT_ALLOW" {
		t.Errorf("recorded: %s %s", got, p.Syscalls[0].Action)
	}
	more := p.Syscalls[1]
	if !slices.Contains(more.Names, "execveat") || !slices.Contains(more.Names, "rt_sigreturn") || slices.Contains(more.Names, "write") {
		t.Errorf("needed: %q", more.Names)
	}
	if r := p.Syscalls[2]; !slices.Contains(r.Names, "clone3") || r.Action != "SCMP_ACT_ERRNO" || r.ErrnoRet == nil || *r.ErrnoRet != 38 {
		t.Errorf("missing: %+v", r)
	}
	if strings.Contains(string(b), "#9999") {
		t.Error("a number is no name")
	}
	if _, err := Profile("riscv64", nil); err == nil {
		t.Error("a profile for an architecture that Brig does not run on")
	}
}

func TestCapabilitiesAreDerivedFromRootsCalls(t *testing.T) {
	calls := []string{"read", "fchownat", "setresuid", "setgroups", "bind"}
	var got []string
	for _, n := range Derive(calls, true) {
		got = append(got, n.Capability+":"+strings.Join(n.Calls, ","))
	}
	if s := strings.Join(got, " "); s != "CHOWN:fchownat SETUID:setresuid SETGID:setgroups" {
		t.Errorf("%s", s)
	}
	if list := Derive(calls, false); list != nil {
		t.Errorf("without root: %v", list)
	}
}

func TestAdviceOfARecordedContainer(t *testing.T) {
	f := &Facts{Processes: []Process{{0, 0, "sh"}, {7, 7, "app"}}, Recorded: true, Calls: []string{"chown", "read"}, SecurityOpt: []string{"seccomp={}", "no-new-privileges"}}
	a := Make(f)
	if s := strings.Join(a.Notes, "\n"); !strings.Contains(s, "2 system calls were recorded: --profile FILE") || !strings.Contains(s, "derived from its system calls and not seen: CHOWN (chown)") {
		t.Errorf("%s", s)
	}
	if len(a.Obstacles) > 0 || strings.Contains(strings.Join(a.Options, " "), "seccomp") {
		t.Errorf("%+v", a)
	}
	f.Profile, f.SecurityOpt = "p.json", []string{"seccomp=unconfined"}
	a = Make(f)
	if s := strings.Join(a.Options, " "); s != "--level strict -u 7:7 --security-opt seccomp=p.json" {
		t.Errorf("%s", s)
	}
	if s := strings.Join(a.Obstacles, "\n"); !strings.Contains(s, "seccomp=unconfined: level strict has none") {
		t.Errorf("%s", s)
	}
}
