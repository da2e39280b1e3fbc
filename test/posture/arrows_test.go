package posture

import (
	"flag"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// arrow is one rule: packages below From never import what starts with one of Never, directly or through a library.
type arrow struct {
	from   string
	never  []string
	except []string
	reason string
}

// foreignFormats are readers of what strangers write, and ways to run programs.
var foreignFormats = []string{"net/http", "archive/", "compress/", "encoding/xml", "encoding/asn1", "crypto/x509", "debug/",
	"os/exec", "text/template", "html/template", "github.com/klauspost/compress", "github.com/erofs/", "github.com/miekg/dns"}

var arrows = []arrow{
	{"internal/warden", append([]string{Module + "internal/daemon", Module + "internal/worker", Module + "internal/cli",
		Module + "internal/router", Module + "internal/store", "github.com/vishvananda/", "github.com/google/nftables", "github.com/mdlayher/"}, foreignFormats...), nil,
		"who holds privilege parses no foreign format, speaks no netlink and runs no helper program"},
	{"internal/warden", []string{Module + "dist", Module + "internal/kernel/seccomp", Module + "internal/kernel/bpf/asm"}, nil,
		"filters and programs are compiled ahead of time, or by brigd: no compiler and no table of calls runs as root"},
	{"internal/router", append([]string{Module}, foreignFormats...),
		[]string{Module + "internal/kernel", Module + "internal/wire", Module + "internal/router"},
		"who holds the network knows nothing of the engine and runs no program"},
	{"internal/store", append([]string{Module}, foreignFormats...),
		[]string{Module + "internal/kernel", Module + "internal/wire", Module + "internal/store"},
		"who holds what was verified reads no format and runs no program"},
	{"internal/warden", []string{Module + "internal/oci", Module + "internal/seccomp"}, nil,
		"what another engine's runtime does is no business of ours, nor is reading profiles"},
	{"internal/oci", append(without(foreignFormats, "os/exec"), Module+"internal/daemon", Module+"internal/worker", Module+"internal/cli",
		Module+"internal/router", Module+"internal/keeper", Module+"internal/seccomp/seccompjson", "github.com/vishvananda/", "github.com/google/nftables"),
		nil, "a runtime is started by an engine, which has read the images; hooks are the one thing for which it runs programs of the host"},
	{"internal/oci/cgroup", []string{"os/exec", "github.com/godbus/"}, nil, "who writes groups speaks to nobody: systemd is told by others"},
	{"internal/oci/birth", []string{"os/exec", "github.com/godbus/", Module + "internal/seccomp", Module + "internal/oci/state"}, nil,
		"what carries a list out runs nothing and keeps nothing: it makes lists"},
	{"internal/seccomp", append([]string{Module}, foreignFormats...),
		[]string{Module + "internal/kernel", Module + "internal/wire", Module + "internal/seccomp"},
		"who compiles a profile knows for whom by what it is told"},
	{"internal/keeper", append([]string{Module + "internal/daemon", Module + "internal/worker", Module + "internal/warden", Module + "internal/router", Module + "internal/store"}, foreignFormats...), nil,
		"the keeper does nothing that can fail"},
	{"internal/daemon", []string{"os/exec", "archive/", "compress/bzip2", "github.com/klauspost/compress", "github.com/erofs/", Module + "internal/warden", Module + "internal/router", Module + "internal/store", Module + "internal/worker"}, nil,
		"who decides runs nothing and reads no archive"},
	{"internal/worker", []string{Module}, []string{Module + "internal/kernel", Module + "internal/wire", Module + "internal/worker"},
		"what reads strangers' bytes knows nothing of the engine"},
	{"internal/kernel", []string{Module}, []string{Module + "internal/kernel"}, "kernel packages are leaves"},
	{"internal/wire", []string{Module, "net/http"}, []string{Module + "internal/wire", Module + "internal/kernel"}, "messages know nobody"},
	{"internal/cli", []string{Module + "internal/daemon", Module + "internal/worker", Module + "internal/warden", Module + "internal/router", Module + "internal/store", Module + "internal/keeper"}, nil,
		"the command line talks to the engine through its API only"},
}

func TestArrows(t *testing.T) {
	list, err := List(Module + "...")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range arrows {
		checked := 0
		for _, p := range list {
			rest, ok := strings.CutPrefix(p.ImportPath, Module+a.from)
			if !ok || rest != "" && rest[0] != '/' {
				continue
			}
			checked++
			for _, d := range p.Deps {
				if hasPrefix(d, a.never) && !hasPrefix(d, a.except) {
					t.Errorf("%s imports %s: %s", p.ImportPath, d, a.reason)
				}
			}
		}
		if checked == 0 {
			t.Errorf("no package below %s: the rule checks nothing", a.from)
		}
	}
}

func without(list []string, what string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == what })
}

func hasPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return s == strings.TrimSuffix(p, "/") || strings.HasPrefix(s, strings.TrimSuffix(p, "/")+"/")
	})
}

// What runs as root imports exactly what the reviewed list holds.
func TestRootImportsAreTheReviewedList(t *testing.T) {
	list, err := List(RootPrograms...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range list {
		if hasPrefix(p.ImportPath, foreignFormats) {
			t.Errorf("a root process imports %s", p.ImportPath)
		}
		if !p.Standard || !strings.Contains(p.ImportPath, "internal/") && !strings.HasPrefix(p.ImportPath, "vendor/") {
			got = append(got, strings.TrimPrefix(p.ImportPath, Module))
		}
	}
	sort.Strings(got)
	golden(t, "testdata/root-imports.txt", strings.Join(got, "\n")+"\n")
}

// An OCI runtime for other engines is a root process as well, for as long as one command. It has hooks to run and profiles to
// compile; its list is apart so that nothing of that comes into the two that stay.
func TestRuntimeImportsAreTheReviewedList(t *testing.T) {
	list, err := List(RuntimePrograms...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range list {
		if !p.Standard || !strings.Contains(p.ImportPath, "internal/") && !strings.HasPrefix(p.ImportPath, "vendor/") {
			got = append(got, strings.TrimPrefix(p.ImportPath, Module))
		}
	}
	sort.Strings(got)
	golden(t, "testdata/runtime-imports.txt", strings.Join(got, "\n")+"\n")
}

// What runs as root, in lines that are neither blank nor only a comment. make loc prints both.
const (
	oursLimit      = 8_000
	librariesLimit = 1_000
	keeperLimit    = 300
	// Of brig-oci: what it shares with the warden counts again, its input is of an engine that is as trusted as root.
	runtimeLimit          = 8_000
	runtimeLibrariesLimit = 60_000
)

func TestRuntimeStaysSmall(t *testing.T) {
	list, err := List(RuntimePrograms...)
	if err != nil {
		t.Fatal(err)
	}
	ours, libraries, err := Sum(list)
	if err != nil {
		t.Fatal(err)
	}
	if ours.Code == 0 || ours.Code > runtimeLimit || libraries.Code > runtimeLibrariesLimit {
		t.Errorf("brig-oci has %d lines of ours (limit %d) and %d of libraries (limit %d)", ours.Code, runtimeLimit, libraries.Code, runtimeLibrariesLimit)
	}
}

func TestRootProcessesStaySmall(t *testing.T) {
	list, err := List(RootPrograms...)
	if err != nil {
		t.Fatal(err)
	}
	var ours, libraries int
	for _, p := range list {
		if p.Standard || p.Module == nil || p.Module.Path == "golang.org/x/sys" {
			continue
		}
		c, err := p.Lines()
		if err != nil {
			t.Fatal(err)
		}
		if p.Ours() {
			ours += c.Code
		} else {
			libraries += c.Code
		}
		if p.ImportPath == Module+"internal/keeper" && c.Code > keeperLimit {
			t.Errorf("the keeper has %d lines of code, over %d", c.Code, keeperLimit)
		}
	}
	if ours > oursLimit || libraries > librariesLimit {
		t.Errorf("as root run %d lines of ours (limit %d) and %d of libraries (limit %d)", ours, oursLimit, libraries, librariesLimit)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
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
		t.Errorf("%s differs; look at the change, then go test ./test/posture -update\ngot:\n%s", path, got)
	}
}
