package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestRunKnowsEveryOptionOfDockerRun: by the same two names, and with a value where Docker wants one. What each of them
// does is said in docs/docker-compatibility.md.
func TestRunKnowsEveryOptionOfDockerRun(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "daemon", "policy", "compat", "testdata", "docker-run-28.2.txt"))
	if err != nil {
		t.Fatal(err)
	}
	run, create := newRun(&App{}), newCreate(&App{})
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	for _, line := range lines {
		short, rest, ok := strings.Cut(line, ", ")
		if !ok {
			short, rest = "", line
		}
		name, kind, _ := strings.Cut(strings.TrimPrefix(rest, "--"), " ")
		for _, cmd := range []interface{ Flags() *pflag.FlagSet }{run, create} {
			f := cmd.Flags().Lookup(name)
			if f == nil {
				if cmd == create && (name == "detach" || name == "detach-keys" || name == "sig-proxy") {
					continue // create starts nothing
				}
				t.Errorf("--%s is not known", name)
				continue
			}
			if f.Shorthand != strings.TrimPrefix(short, "-") || (f.NoOptDefVal == "") != (kind != "") {
				t.Errorf("--%s is %q here, with a value: %v; Docker has %s", name, f.Shorthand, f.NoOptDefVal == "", line)
			}
		}
	}
	if len(lines) < 100 {
		t.Errorf("only %d options were found", len(lines))
	}
}
