package seccompjson

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	moby "github.com/moby/profiles/seccomp"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
	"github.com/brig-engine/brig/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// defaultCaps are Brig's default capabilities: Docker's without NET_RAW, MKNOD, AUDIT_WRITE and SETFCAP.
const defaultCaps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FSETID | 1<<unix.CAP_FOWNER |
	1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP |
	1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_KILL

func host(arch filter.Arch, caps uint64) Host {
	return Host{Arch: arch, Kernel: [2]uint64{6, 18}, Bounding: caps}
}

// TestDefaultProfileResolvesAsReviewed: an update of Docker's profile shows as a diff of what is allowed.
func TestDefaultProfileResolvesAsReviewed(t *testing.T) {
	for _, arch := range []filter.Arch{filter.AMD64, filter.ARM64} {
		f, err := Default().Filter(host(arch, defaultCaps))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString("default " + string(f.Default) + ", newest " + seccomp.Name(string(arch), f.Newest) + "\n")
		for _, r := range f.Rules {
			args, err := json.Marshal(r.Args)
			if err != nil {
				t.Fatal(err)
			}
			for _, nr := range r.Calls {
				b.WriteString(string(r.Action) + " " + seccomp.Name(string(arch), nr))
				if len(r.Args) > 0 {
					b.Write(append([]byte(" "), args...))
				}
				b.WriteString("\n")
			}
		}
		golden(t, "default-"+string(arch)+".txt", b.String())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the difference, then run with -update\ngot:\n%s", name, got)
	}
}

func TestDefaultProfileSurvivesItsOwnJSON(t *testing.T) {
	b, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, caps := range []uint64{0, defaultCaps, 1 << unix.CAP_SYS_ADMIN, 1<<41 - 1} {
		want, err := docker().Filter(host(filter.AMD64, caps))
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Filter(host(filter.AMD64, caps))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("caps %#x: the decoded profile differs from the built-in one", caps)
		}
	}
}

// What programs do not miss is left out, unless somebody has the capability that is for it.
func TestDefaultIsTighterThanDockers(t *testing.T) {
	calls := func(p *Profile, caps uint64) map[string]filter.Action {
		f, err := p.Filter(host(filter.AMD64, caps))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]filter.Action{}
		for _, r := range f.Rules {
			for _, nr := range r.Calls {
				all[seccomp.Name("amd64", nr)] = r.Action
			}
		}
		return all
	}
	theirs, ours := calls(docker(), defaultCaps), calls(Default(), defaultCaps)
	for name, action := range theirs {
		if action != filter.Allow {
			continue
		}
		left := slices.Contains(withheld, name) || slices.Contains(absent, name)
		if (ours[name] == filter.Allow) == left {
			t.Errorf("%s: %v", name, ours[name])
		}
	}
	for _, name := range slices.Concat(withheld, absent) {
		if _, there := theirs[name]; !there {
			t.Errorf("Docker does not allow %s anyway", name)
		}
	}
	if ptrace := calls(Default(), defaultCaps|1<<unix.CAP_SYS_PTRACE); ptrace["process_vm_readv"] != filter.Allow || ours["process_vm_readv"] == filter.Allow {
		t.Error("process_vm_readv does not go with its capability")
	}
}

// For programs of i386 the default allows what it allows to others by the same names, and what is theirs alone.
func TestDefaultForI386(t *testing.T) {
	h := host(filter.AMD64, defaultCaps)
	h.Compat = true
	f, err := Default().Filter(h)
	if err != nil || f.Compat == nil || f.Compat.Arch != filter.I386 {
		t.Fatalf("%v, %+v", err, f.Compat)
	}
	for _, number := range seccomp.Calls("amd64") {
		name := seccomp.Name("amd64", number)
		if _, ok := seccomp.Number("i386", name); !ok || slices.Contains(compat, name) {
			continue
		}
		there, here := has(t, f, name), has(t, *f.Compat, name)
		same := func(a, b filter.Rule) bool {
			return a.Action == b.Action && a.Errno == b.Errno && slices.Equal(a.Args, b.Args)
		}
		if !slices.EqualFunc(there, here, same) {
			t.Errorf("%s: %+v, on i386 %+v", name, there, here)
		}
	}
	for _, name := range []string{"set_thread_area", "mmap2", "_llseek", "chown32", "waitpid", "clock_gettime64"} {
		if r := has(t, *f.Compat, name); len(r) != 1 || r[0].Action != filter.Allow {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if len(has(t, f, "set_thread_area")) > 0 {
		t.Error("set_thread_area is for i386 alone")
	}
}

func TestDefaultProfileKnowsEveryNameOrNamesAForeignOne(t *testing.T) {
	foreign := map[string]bool{"arm_fadvise64_64": true, "arm_sync_file_range": true, "breakpoint": true,
		"cacheflush": true, "set_tls": true, "riscv_flush_icache": true, "swapcontext": true}
	for _, s := range moby.DefaultProfile().Syscalls {
		for _, n := range s.Names {
			if !seccomp.Exists(n) && !foreign[n] {
				t.Errorf("the table of calls does not know %q", n)
			}
		}
	}
}

// has finds the action of the first rule that names the call.
func has(t *testing.T, f filter.Filter, name string) []filter.Rule {
	t.Helper()
	nr, ok := seccomp.Number(string(f.Arch), name)
	if !ok {
		t.Fatalf("no number for %s", name)
	}
	var found []filter.Rule
	for _, r := range f.Rules {
		for _, c := range r.Calls {
			if c == nr {
				found = append(found, r)
			}
		}
	}
	return found
}

func TestConditionsOfRules(t *testing.T) {
	const rule = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_ALLOW",%}]}`
	for name, tc := range map[string]struct {
		cond string
		want bool
	}{
		"no condition":          {`"includes":{},"excludes":{}`, true},
		"capability held":       {`"includes":{"caps":["CAP_KILL"]}`, true},
		"capability missing":    {`"includes":{"caps":["CAP_KILL","CAP_SYS_PTRACE"]}`, false},
		"excluded by any":       {`"excludes":{"caps":["CAP_SYS_PTRACE","CAP_KILL"]}`, false},
		"not excluded":          {`"excludes":{"caps":["CAP_SYS_PTRACE"]}`, true},
		"this architecture":     {`"includes":{"arches":["arm","amd64"]}`, true},
		"other architecture":    {`"includes":{"arches":["s390x"]}`, false},
		"excluded architecture": {`"excludes":{"arches":["amd64"]}`, false},
		"old enough kernel":     {`"includes":{"minKernel":"4.8"}`, true},
		"kernel too old":        {`"includes":{"minKernel":"6.19"}`, false},
		"same kernel":           {`"includes":{"minKernel":"6.18"}`, true},
		"excluded by kernel":    {`"excludes":{"minKernel":"6.1"}`, false},
	} {
		p, err := Decode([]byte(strings.Replace(rule, "%", tc.cond, 1)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f, err := p.Filter(host(filter.AMD64, defaultCaps))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := len(has(t, f, "ptrace")) == 1; got != tc.want {
			t.Errorf("%s: rule applies: %v, want %v", name, got, tc.want)
		}
		if f.Newest != 101 {
			t.Errorf("%s: newest %d, want the number of ptrace", name, f.Newest)
		}
	}
}

func TestRefusedProfilesSayWhy(t *testing.T) {
	rule := func(s string) string { return `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[` + s + `]}` }
	for name, tc := range map[string]struct{ json, want string }{
		"nothing":             {`{}`, "defaultAction is missing"},
		"notify":              {rule(`{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}`), "listenerPath names none"},
		"default notify":      {`{"defaultAction":"SCMP_ACT_NOTIFY"}`, "listenerPath names none"},
		"notify errno":        {rule(`{"names":["mount"],"action":"SCMP_ACT_NOTIFY","errnoRet":1}`), "takes no errnoRet"},
		"relative path":       {`{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"x"}`, "is absolute"},
		"long path":           {`{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/` + strings.Repeat("x", 107) + `"}`, "at most 107"},
		"long metadata":       {`{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/x","listenerMetadata":"` + strings.Repeat("x", 16385) + `"}`, "at most 16384"},
		"metadata alone":      {`{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"x"}`, "listenerPath names none"},
		"no architecture":     {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_65"]}`, `"SCMP_ARCH_X86_65" is no architecture`},
		"no sub-architecture": {`{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["x"]}]}`, `"x" is no arch`},
		"no such condition":   {rule(`{"names":["mount"],"action":"SCMP_ACT_ERRNO","includes":{"arches":["x86_64"]}}`), `no architecture "x86_64"`},
		"nor exclusion":       {rule(`{"names":["mount"],"action":"SCMP_ACT_ERRNO","excludes":{"arches":["aarch64"]}}`), `no architecture "aarch64"`},
		"unknown action":      {rule(`{"names":["mount"],"action":"SCMP_ACT_DENY"}`), "unknown action"},
		"unknown field":       {rule(`{"names":["mount"],"action":"SCMP_ACT_ERRNO","exclude":{}}`), "exclude"},
		"typo in a denial":    {rule(`{"names":["monut"],"action":"SCMP_ACT_ERRNO"}`), `"monut" is no system call`},
		"both names":          {rule(`{"names":["mount"],"name":"mount","action":"SCMP_ACT_ERRNO"}`), "both name and names"},
		"no name":             {rule(`{"action":"SCMP_ACT_ERRNO"}`), "names no system call"},
		"null":                {rule(`null`), "is null"},
		"argument 6": {rule(`{"names":["mount"],"action":"SCMP_ACT_ERRNO","args":[
			{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}`), "arguments 0 to 5"},
		"argument 256": {rule(`{"names":["mount"],"action":"SCMP_ACT_ERRNO","args":[
			{"index":256,"value":0,"op":"SCMP_CMP_EQ"}]}`), "arguments 0 to 5"},
		"errno too high":    {rule(`{"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":65536}`), "above 4095"},
		"errno of an allow": {rule(`{"names":["mount"],"action":"SCMP_ACT_ALLOW","errnoRet":1}`), "takes no errnoRet"},
		"unknown capability": {rule(`{"names":["mount"],"action":"SCMP_ACT_ERRNO",
			"includes":{"caps":["SYS_ADMIN"]}}`), "unknown cap"},
		"unknown flag": {`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}`, "flag"},
		"two values":   {`{"defaultAction":"SCMP_ACT_ALLOW"}{}`, "more than one"},
		"too large":    {`{"defaultAction":"SCMP_ACT_ALLOW"}` + strings.Repeat(" ", MaxSize), "at most"},
		"both architectures": {`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
			"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}`, "keep one"},
	} {
		p, err := Decode([]byte(tc.json))
		if err == nil {
			_, err = p.Filter(host(filter.AMD64, 0))
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one that contains %q", name, err, tc.want)
		}
	}
}

func TestProfileDetailsAreDockers(t *testing.T) {
	p, err := Decode([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[
		{"names":["read","no_such_call","_llseek"],"action":"SCMP_ACT_ALLOW"},
		{"name":"getpid","action":"SCMP_ACT_ERRNO"},
		{"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
		{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[
			{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]},
		{"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[
			{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"},
			{"index":1,"value":0,"op":"SCMP_CMP_NE"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Filter(host(filter.AMD64, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := filter.Filter{Arch: filter.AMD64, Default: filter.Errno, Errno: 1, Newest: 435, Log: true,
		Rules: []filter.Rule{
			{Calls: []uint32{0}, Action: filter.Allow},
			{Calls: []uint32{435}, Action: filter.Errno, Errno: 38},
			{Calls: []uint32{41}, Action: filter.Allow, Args: []filter.Arg{{Op: filter.EQ, Value: 1}}},
			{Calls: []uint32{41}, Action: filter.Allow, Args: []filter.Arg{{Op: filter.EQ, Value: 2}}},
			{Calls: []uint32{56}, Action: filter.Allow, Args: []filter.Arg{
				{Op: filter.MaskedEQ, Mask: 2114060288}, {Index: 1, Op: filter.NE}}},
		}}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
}

func FuzzDecodeNeverMakesAnInvalidFilter(f *testing.F) {
	b, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"syscalls":[
		{"name":"mount","action":"SCMP_ACT_KILL"}]}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[
		{"index":0,"value":38,"op":"SCMP_CMP_EQ"}],"includes":{"minKernel":"4.8","caps":["CAP_KILL"]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		for _, arch := range []filter.Arch{filter.AMD64, filter.ARM64} {
			f, err := p.Filter(host(arch, defaultCaps))
			if err != nil {
				continue
			}
			if err := f.Validate(); err != nil {
				t.Fatal(err)
			}
			program, err := p.Compile(host(arch, defaultCaps))
			made := wire.Filter{Program: program.Code}
			if err != nil && !errdefs.IsInvalidArgument(err) || err == nil && (!made.Valid() || len(program.Code) == 0) {
				t.Fatalf("%d bytes, %v", len(program.Code), err)
			}
		}
	})
}

// A listener is part of what is compiled where a call is left to it, which conditions may make different elsewhere.
func TestListenerBelongsToWhatIsLeftToIt(t *testing.T) {
	const profile = `{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/l.sock","listenerMetadata":"mine",
		"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_NOTIFY","includes":{"arches":["amd64"]}}]}`
	p, err := Decode([]byte(profile))
	if err != nil {
		t.Fatal(err)
	}
	for arch, want := range map[filter.Arch]seccompspec.Listener{filter.AMD64: {Path: "/run/l.sock", Metadata: "mine"}, filter.ARM64: {}} {
		got, err := p.Compile(host(arch, 0))
		if err != nil || got.Listener != want {
			t.Errorf("%s: %+v %v", arch, got.Listener, err)
		}
	}
	f, err := p.Filter(host(filter.AMD64, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := []filter.Rule{{Calls: []uint32{83, 258}, Action: filter.Notify}}
	if !f.Notifies() || !reflect.DeepEqual(f.Rules, want) {
		t.Errorf("%+v", f.Rules)
	}
}
