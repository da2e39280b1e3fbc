package check

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

// needs are those of a good machine, with some replaced.
func needs(change ...Need) []Need {
	all := []Need{
		{Name: "system calls", State: OK}, {Name: "user namespaces", State: OK}, {Name: "seccomp", State: OK},
		{Name: "overlayfs", State: OK}, {Name: "EROFS", State: OK}, {Name: "whole /proc", State: OK},
		{Name: "control groups", State: OK}, {Name: "nftables", State: OK}, {Name: "BPF", State: OK},
		{Name: "Landlock", State: OK}, {Name: "EROFS from files", State: OK}, {Name: "loop devices", State: OK},
		{Name: "overlay layers by fd", State: OK},
		{Name: "names after execveat", State: OK}, {Name: "raising limits", State: OK},
	}
	for _, c := range change {
		for i := range all {
			if all[i].Name == c.Name {
				all[i] = c
			}
		}
	}
	return all
}

func machines() map[string]Facts {
	good := Facts{OS: "linux", Arch: "amd64", Kernel: "6.18.44", Root: true, Privileged: true, Needs: needs()}
	noErofs := Need{Name: "EROFS", State: Missing, For: "images",
		Detail: "the kernel has no such file system", Fix: "modprobe erofs"}
	slow := Need{Name: "EROFS from files", State: Degraded, For: "images without loop devices",
		Detail: "kernel 6.1 is older than 6.12", Fix: "kernel 6.12"}
	m := map[string]Facts{"good": good}
	with := func(name string, f func(*Facts)) {
		x := good
		f(&x)
		m[name] = x
	}
	with("degraded", func(f *Facts) { f.Kernel, f.Needs = "6.1.0-31-amd64", needs(slow) })
	with("old", func(f *Facts) { f.Kernel = "5.10.0-33-amd64"; f.Needs = needs(slow) })
	with("noroot", func(f *Facts) {
		f.Root, f.Privileged = false, false
		f.Needs = needs(Need{Name: "nftables", State: Unknown, For: "networks", Detail: "unknown without root"})
	})
	with("noerofs", func(f *Facts) { f.Needs = needs(noErofs) })
	with("container", func(f *Facts) { f.Container, f.Privileged = "docker", false })
	with("capless", func(f *Facts) { f.Privileged = false })
	m["macos"] = Facts{OS: "darwin", Arch: "arm64"}
	m["windows"] = Facts{OS: "windows", Arch: "amd64"}
	with("riscv", func(f *Facts) { f.Arch = "riscv64" })
	with("everything", func(f *Facts) {
		f.Needs = needs()
		for i := range f.Needs {
			f.Needs[i] = Need{Name: f.Needs[i].Name, State: Missing, For: "something", Detail: "not there", Fix: "get it"}
		}
	})
	return m
}

func TestReportsAreGoldenAndFitAScreen(t *testing.T) {
	for name, facts := range machines() {
		var b strings.Builder
		if err := Judge(facts).Text(&b, false); err != nil {
			t.Fatal(err)
		}
		got, golden := b.String(), filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v; got:\n%s", name, err, got)
		}
		if n := strings.Count(got, "\n"); n > 25 {
			t.Errorf("%s: %d lines", name, n)
		}
		if !utf8.ValidString(got) || strings.Contains(got, "\x1b") {
			t.Errorf("%s: colour, or not UTF-8", name)
		}
	}
}

func TestOnlyAGoodMachineIsAble(t *testing.T) {
	for name, facts := range machines() {
		if able := Judge(facts).Able; able != (name == "good" || name == "degraded") {
			t.Errorf("%s: able %v", name, able)
		}
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	var b strings.Builder
	err := Judge(machines()["noerofs"]).Text(&b, true)
	if err != nil || !strings.Contains(b.String(), "\x1b[31m✗\x1b[0m") {
		t.Errorf("%v %q", err, b.String())
	}
}

func TestReportIsJSON(t *testing.T) {
	b, err := json.Marshal(Judge(machines()["noerofs"]))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	err = json.Unmarshal(b, &r)
	if err != nil || r.Able || r.Needs[4].State != Missing || !strings.Contains(string(b), `"verdict":`) {
		t.Errorf("%v: %s", err, b)
	}
}

func TestDoctorKnowsThisMachine(t *testing.T) {
	r := Doctor()
	if r.OS == "" || r.Verdict == "" {
		t.Errorf("%+v", r)
	}
	var b strings.Builder
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
}
