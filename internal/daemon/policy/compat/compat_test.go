package compat

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// dockerRun are the options of docker run 28.2, as testdata has them: "-a, --attach list".
func dockerRun(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/docker-run-28.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")[1:]
}

// flagName is the long name: --attach.
func flagName(line string) string {
	name, _, _ := strings.Cut(line[strings.Index(line, "--"):], " ")
	return name
}

func TestTheListIsWhatDockerHas(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	run := func(args ...string) string {
		cmd := exec.Command(docker, append([]string{"-H", "unix:///nonexistent"}, args...)...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/nonexistent"}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("docker %v: %v", args, err)
		}
		return string(out)
	}
	if v := run("--version"); !strings.Contains(v, " 28.2.") {
		t.Skip("missing: docker client") // of this version
	}
	var have []string
	line := regexp.MustCompile(`(?m)^ {2,6}(-\w, |    )(--[a-z0-9-]+)( \S+)?(?:  .*)?$`)
	for _, m := range line.FindAllStringSubmatch(run("run", "--help"), -1) {
		have = append(have, strings.TrimSpace(m[1]+m[2]+m[3]))
	}
	if got, want := strings.Join(have, "\n"), strings.Join(dockerRun(t), "\n"); got != want {
		t.Errorf("docker run --help has\n%s\nand the list\n%s", got, want)
	}
}

func TestEveryOptionOfDockerRunHasItsPlace(t *testing.T) {
	placed := map[string]string{}
	for _, e := range Entries() {
		short := ""
		for _, f := range e.Flags {
			if !strings.HasPrefix(f, "--") {
				short = f
				continue
			}
			name, _, _ := strings.Cut(f, " ") // --network driver-opt is a part of --network
			placed[name] = short
			short = ""
		}
	}
	for _, line := range dockerRun(t) {
		name := flagName(line)
		short, ok := placed[name]
		if want, _, has := strings.Cut(line, ", "); !ok || has && short != want {
			t.Errorf("%s of docker run is in no entry, or without its short name %s", name, want)
		}
		delete(placed, name)
	}
	for name := range placed {
		t.Errorf("docker run has no option %s", name)
	}
}

// TestEntriesAreWhole: every refusal says why and what to do, and a rule has one name.
func TestEntriesAreWhole(t *testing.T) {
	rule := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	keys := map[string]bool{}
	for _, e := range Entries() {
		at := e.Key() + " " + e.Option()
		if e.Field == "" && len(e.Flags) == 0 || e.Field != "" && keys[e.Key()] {
			t.Errorf("%s: the key is empty, or there twice", at)
		}
		keys[e.Key()] = true
		if refused := e.State != Works; refused != (e.Reason != "" && e.Instead != "") || refused && e.Note != "" {
			t.Errorf("%s: a reason and what to do instead are for what is refused, a note is for what works", at)
		}
		if (e.State == Refused) != rule.MatchString(e.Rule) {
			t.Errorf("%s: a rule has a name, and only a rule has one: %q", at, e.Rule)
		}
		for _, text := range []string{e.Note, e.Reason, e.Instead} {
			if strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n|") {
				t.Errorf("%s: %q is to be a part of a sentence", at, text)
			}
		}
	}
}
