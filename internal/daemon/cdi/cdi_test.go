package cdi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

const example = `cdiVersion: "0.6.0"
kind: vendor.com/card
containerEdits:
  env: [CARD=yes]
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/card0
      permissions: rw
- name: all
  containerEdits:
    deviceNodes: [{path: /dev/card0}, {path: /dev/card1}]
`

func put(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestADeviceIsFoundByItsName(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	etc, run := t.TempDir(), t.TempDir()
	put(t, etc, "a.yaml", example, 0o644)
	put(t, etc, "b.json", `{"cdiVersion":"1.1.0","kind":"vendor.com/other","devices":[{"name":"x","containerEdits":{"env":["A=b"]}}]}`, 0o600)
	put(t, etc, "readme.txt", "not a specification", 0o644)
	f, err := Find([]string{etc, run, "/nonexistent"}, "vendor.com/card=0")
	if err != nil || len(f.Edits) != 2 || f.Edits[0].Env[0] != "CARD=yes" || f.Edits[1].DeviceNodes[0].Path != "/dev/card0" {
		t.Fatalf("%+v %v", f, err)
	}
	if f, err := Find([]string{etc, run}, "vendor.com/other=x"); err != nil || f.Edits[1].Env[0] != "A=b" {
		t.Errorf("JSON: %+v %v", f, err)
	}
	if _, err := Find([]string{etc, run}, "vendor.com/card=9"); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "has the device vendor.com/card=9") {
		t.Error(err)
	}
	if _, err := Find([]string{etc, run}, "/dev/null"); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
	later := put(t, run, "c.yaml", strings.Replace(example, "CARD=yes", "CARD=later", 1), 0o644)
	if f, err := Find([]string{etc, run}, "vendor.com/card=0"); err != nil || f.File != later {
		t.Errorf("the later directory: %+v %v", f, err)
	}
	put(t, run, "d.yaml", example, 0o644)
	if _, err := Find([]string{etc, run}, "vendor.com/card=0"); err == nil || !strings.Contains(err.Error(), "have both a device") {
		t.Errorf("two of one name: %v", err)
	}
}

func TestSpecificationsThatSayNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		says string
	}{
		"others may write": {example, 0o666, "others may write to it"},
		"unknown field":    {example + "more: 1\n", 0o644, `unknown field "more"`},
		"a later version":  {strings.Replace(example, "0.6.0", "2.0.0", 1), 0o644, "cdiVersion"},
		"too large":        {example + "# " + strings.Repeat("x", maxSize), 0o644, "more than 1048576"},
		"no YAML":          {"\t{", 0o644, "yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a.yaml", c.text, c.mode)
			if _, err := Find([]string{dir}, "vendor.com/card=0"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, not %q", err, c.says)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`{"cdiVersion":"1.1.0","kind":"a/b","devices":[{"name":"x","containerEdits":{"hooks":[{"hookName":"x","path":"/x"}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Parse(b); (s == nil) == (err == nil) {
			t.Errorf("%v %v", s, err)
		}
	})
}
