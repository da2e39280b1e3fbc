package policyfile

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire/rules"
)

var update = flag.Bool("update", false, "write the golden files")

var testAccounts = Lookup{
	User: func(name string) (uint32, error) {
		if name == "alice" {
			return 1000, nil
		}
		return 0, errors.New("there is no user of this name")
	},
	Group: func(name string) (uint32, error) {
		if name == "builders" {
			return 500, nil
		}
		return 0, errors.New("there is no group of this name")
	},
	Program: func(path string) (string, error) {
		if path == "/usr/bin/crun" || path == "/usr/local/bin/runsc" {
			return path, nil
		}
		return "", errors.New(path + ": is no program")
	},
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
		t.Errorf("%s differs (run with -update to accept):\n%s", path, got)
	}
}

// Every file of testdata comes to what lies beside it: a policy and how it is shown, or all that is wrong with it.
func TestFilesComeToThis(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			p, err := Parse(b, testAccounts)
			if err != nil {
				out.WriteString(err.Error() + "\n")
			} else {
				compiled, err := json.MarshalIndent(p, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				out.Write(append(compiled, '\n'))
				Print(&out, p)
			}
			golden(t, strings.TrimSuffix(path, ".toml")+".txt", out.String())
		})
	}
}

// The file that the documentation shows is one that can be applied.
func TestTheDocumentedFileCompiles(t *testing.T) {
	b, err := os.ReadFile("../../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "```toml\n")
	text, _, ends := strings.Cut(text, "```")
	if !ok || !ends {
		t.Fatal("docs/policy.md shows no policy.toml")
	}
	find := func(string) (uint32, error) { return 1, nil }
	if _, err := Parse([]byte(text), Lookup{find, find, func(path string) (string, error) { return path, nil }}); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"level", "floor", "users", "groups", "images", "capabilities", "security-opt", "devices", "ports", "ulimits", "levels", "runtimes", "path", "arguments"} {
		if !strings.Contains(text, "\n"+key+" ") && !strings.HasPrefix(text, key+" ") {
			t.Errorf("the example has no line for %s", key)
		}
	}
}

func TestApplyAndReset(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	where := filepath.Join(root, rules.Dir, rules.File)
	if err := Reset(root); err != nil {
		t.Errorf("nothing to take back: %v", err)
	}
	for _, level := range []string{"standard", "strict"} {
		if err := Apply(root, &rules.Policy{Level: level}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(where)
		if err != nil || !strings.Contains(string(b), level) {
			t.Errorf("%s, %v", b, err)
		}
	}
	st, err := os.Stat(where)
	if err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", st, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(where)); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
	if err := Reset(root); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(where); !os.IsNotExist(err) {
		t.Error("it is still there")
	}
}

func TestAFileOfAnybodysIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.toml")
	for mode, ok := range map[os.FileMode]bool{0o644: true, 0o600: true, 0o664: false, 0o646: false} {
		os.Remove(path)
		if err := errors.Join(os.WriteFile(path, []byte("level = \"strict\"\n"), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		if b, err := Read(path); (err == nil) != ok || ok && len(b) != 17 {
			t.Errorf("%v: %q %v", mode, b, err)
		}
	}
	if _, err := Read(filepath.Dir(path)); err == nil {
		t.Error("a directory was read")
	}
}

// What compiles is a policy by which nobody who is not known gets anything, and no capability that is nobody's.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.toml")
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b, testAccounts)
		if err != nil {
			if err.Error() == "" {
				t.Error("it is wrong, and nobody knows why")
			}
			return
		}
		for _, g := range p.Grants {
			for _, need := range g.Allow {
				if need == "*" || need == "capabilities=21" || !strings.Contains(need, "=") {
					t.Errorf("%q is allowed", need)
				}
			}
			if !g.Everyone && len(g.Users)+len(g.Groups) == 0 {
				t.Errorf("%+v is for nobody", g)
			}
		}
	})
}

// What is executed as a runtime is a program below /usr that nobody but root can have written.
func TestProgramsOfRuntimes(t *testing.T) {
	if real, err := Program("/usr/bin/env"); err != nil || real != "/usr/bin/env" {
		t.Error(err)
	}
	for path, says := range map[string]string{
		"/bin/sh": "sees /usr", "usr/bin/env": "sees /usr", "/usr/../bin/env": "sees /usr", "/usr/bin/nosuch": "no such file", "/usr/bin": "is no program",
		"/usr/share/doc": "is no program",
	} {
		if _, err := Program(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	dir, err := os.MkdirTemp("/usr/local/bin", "brig-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, link := filepath.Join(dir, "program"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(program, nil, 0o755), os.Symlink("/etc/passwd", link), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := Program(program); err != nil {
		t.Error(err)
	}
	if _, err := Program(link); err == nil || !strings.Contains(err.Error(), "leads to") {
		t.Errorf("a link out of /usr: %v", err)
	}
	// What a link leads to today is what is executed tomorrow.
	if err := errors.Join(os.Remove(link), os.Symlink(program, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := Program(link); err == nil || !strings.Contains(err.Error(), "leads to "+program) {
		t.Errorf("a link to a program of another name: %v", err)
	}
	same := filepath.Join(dir, "same", "program")
	if err := errors.Join(os.Mkdir(filepath.Dir(same), 0o755), os.Symlink(program, same)); err != nil {
		t.Fatal(err)
	}
	if real, err := Program(same); err != nil || real != program {
		t.Errorf("a link to a program: %s, %v", real, err)
	}
	for _, p := range []string{program, dir} {
		if err := os.Chmod(p, 0o775); err != nil {
			t.Fatal(err)
		}
		if _, err := Program(program); err == nil || !strings.Contains(err.Error(), p+": others than root") {
			t.Errorf("%s: %v", p, err)
		}
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
