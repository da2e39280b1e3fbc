package fault

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// breaking is one way to break an engine's directories.
type breaking struct {
	name  string
	do    func(m *machine)
	says  []string // words of the line
	mends bool
	then  []string // a command line that must succeed after it was mended
}

// only gives the one file that a pattern below the engine's root finds.
func (m *machine) only(pattern string) string {
	m.t.Helper()
	found, _ := filepath.Glob(filepath.Join(m.Dir, pattern))
	if len(found) != 1 {
		m.t.Fatalf("%s: %v", pattern, found)
	}
	return found[0]
}

// disk is where containers and volumes are: the engine's directory, or its image, which the engine alone has mounted.
func (m *machine) disk(name string) string {
	m.t.Helper()
	root := filepath.Join(m.Dir, "root")
	for _, pid := range m.find("brig-keeper") {
		image := filepath.Join(fmt.Sprintf("/proc/%d/root", pid), root, "disk")
		if _, err := os.Lstat(image + "/containers"); err == nil {
			return filepath.Join(image, name)
		}
	}
	return filepath.Join(root, name)
}

func (m *machine) remove(path string) {
	m.t.Helper()
	if _, err := os.Lstat(path); err != nil {
		m.t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) put(path, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	const brigd = 0x7FFD0001
	if strings.Contains(path, "/daemon/") { // they are brigd's own
		for _, p := range []string{path, filepath.Dir(path)} {
			if err := os.Chown(p, brigd, brigd); err != nil {
				m.t.Fatal(err)
			}
		}
	}
}

func (m *machine) id(ref string) string {
	m.t.Helper()
	return m.brig("inspect", "--format", "{{.Id}}", ref)
}

// tiny is the record of the image tiny, and part gives the file of one of its objects.
func (m *machine) part(key string) string {
	m.t.Helper()
	id := strings.TrimPrefix(m.brig("image", "inspect", "--format", "{{.Id}}", "tiny"), "sha256:")
	b, err := os.ReadFile(filepath.Join(m.Dir, "root/daemon/images", id, "record.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	var rec map[string]any
	if err := json.Unmarshal(b, &rec); err != nil {
		m.t.Fatal(err)
	}
	digest, ok := rec[key].(string)
	if !ok {
		digest = rec["layers"].([]any)[0].(map[string]any)[key].(string)
	}
	dir := "objects"
	if key == "index" {
		dir = "checked"
	}
	return filepath.Join(m.Dir, "root/store", dir, strings.TrimPrefix(digest, "sha256:"))
}

// rot changes a byte of a sealed file, or cuts it.
func (m *machine) rot(path string, cut bool) {
	m.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	b = slices.Clone(b)
	if b[len(b)/2]++; cut {
		b = b[:len(b)/2]
	}
	if err := os.WriteFile(path, b, 0o444); err != nil {
		m.t.Fatal(err)
	}
}

func breakings() []breaking {
	const start = "start gone"
	record := func(kind, name string) func(m *machine) {
		return func(m *machine) {
			id := name
			if kind == "containers" || kind == "networks" {
				id = m.id(name)
			}
			m.remove(filepath.Join(m.Dir, "root/daemon", kind, id, "record.json"))
		}
	}
	part := func(key string) func(m *machine) { return func(m *machine) { m.remove(m.part(key)) } }
	return []breaking{
		{"a container's record is missing", record("containers", "gone"), []string{"container gone", "record is missing"}, true, words(start)},
		{"a container's record is damaged", func(m *machine) {
			m.put(filepath.Join(m.Dir, "root/daemon/containers", m.id("gone"), "record.json"), "{torn")
		}, []string{"container gone", "record is damaged"}, true, words(start)},
		{"a volume's record is missing", record("volumes", "data"), []string{"volume data", "record is missing"}, true, words("volume inspect data")},
		{"a network's record is missing", record("networks", "net"), []string{"network net", "record is missing"}, true, words("network inspect net")},
		{"an image's record is missing", func(m *machine) {
			id := m.brig("image", "inspect", "--format", "{{.Id}}", "tiny")
			m.remove(filepath.Join(m.Dir, "root/daemon/images", strings.TrimPrefix(id, "sha256:")))
		}, []string{"image ", "record is missing"}, true, words("image inspect tiny")},
		{"a volume's directory is missing", func(m *machine) { m.remove(m.disk("volumes/data")) },
			[]string{"volume data", "directory is gone"}, true, words(start)},
		{"a volume without a record", func(m *machine) { m.put(m.disk("volumes/found/data/file"), "x") },
			[]string{"volume found", "no record"}, true, words("volume rm found")},
		{"a container's directory is missing", func(m *machine) { m.remove(m.disk("containers/" + m.id("gone")[:2] + "/" + m.id("gone"))) },
			[]string{"container gone", "files are gone"}, true, words(start)},
		{"a container's files without a record", func(m *machine) {
			m.put(m.disk("containers/ab/ab"+strings.Repeat("0", 62)+"/upper/f"), "x")
		}, []string{"container ab0000000000", "no record"}, true, nil},
		{"an image's index is missing", part("index"), []string{"image tiny", "its index"}, true, words("create tiny /bin/x")},
		{"a layer's data is missing", part("data"), []string{"image tiny", "the data of a layer", "missing"}, true, words("create tiny /bin/x")},
		{"a layer's table is missing", part("toc"), []string{"image tiny", "the table of a layer", "missing"}, true, nil},
		{"a layer's data is cut", func(m *machine) { m.rot(m.part("data"), true) }, []string{"image tiny", "bytes, not"}, true, nil},
		{"a layer's data has rotted", func(m *machine) { m.rot(m.part("data"), false) }, []string{"image tiny", "another content"}, true, nil},
		{"a layer's blob is missing", part("blob"), []string{"image tiny", "the blob of a layer", "brig load it again"}, false, nil},
		{"an image's manifest is missing", part("manifest"), []string{"image tiny", "its manifest", "rmi"}, false, nil},
		{"an object that no image needs", func(m *machine) {
			m.put(filepath.Join(m.Dir, "root/store/objects", strings.Repeat("a", 64)), "x")
		}, []string{"object sha256:aaaa", "no image needs it"}, true, nil},
		{"a record of nothing", func(m *machine) { m.put(m.Dir+"/root/daemon/networks/stray/record.tmp", "x") },
			[]string{"file ", "networks/stray", "nothing refers to it"}, true, nil},
		{"a log of nobody", func(m *machine) { m.put(m.Dir+"/root/daemon/logs/"+strings.Repeat("b", 64)+"/log.json", "x") },
			[]string{"file ", "logs/bbbb", "nothing refers to it"}, true, nil},
		{"a spool of nobody", func(m *machine) { m.put(m.Dir+"/run/daemon/spool/"+strings.Repeat("c", 64)+".1", "x") },
			[]string{"file ", "spool/cccc", "nothing refers to it"}, true, nil},
	}
}

// TestCheck breaks an engine's directories as a crash, a disk or a person does.
func TestCheck(t *testing.T) {
	m := newMachine(t, "")
	t.Cleanup(func() { m.with(t).close() })
	m.bring()
	sound := func() {
		m.t.Helper()
		if out, code := m.try("system", "check", "--full"); code != 0 || !strings.Contains(out, " 0 damaged") {
			m.t.Fatalf("an engine with nothing wrong: exit code %d\n%s", code, out)
		}
	}
	for n, b := range breakings() {
		t.Run(b.name, func(t *testing.T) {
			m.with(t)
			m.brig("load", "-q", "-i", m.Dir+"/tiny.tar")
			m.brig("network", "create", "net")
			m.brig("run", "--name", "gone", "-v", "data:/data", image, "true")
			sound()
			b.do(m)
			out, code := m.try("system", "check", "--full")
			for _, w := range b.says {
				if code != 1 || !strings.Contains(out, w) {
					t.Errorf("exit code %d, and %q is not in\n%s", code, w, out)
				}
			}
			if n == 0 {
				var d struct{ Damages []struct{ Next string } }
				js, _ := m.try("system", "check", "--full", "--format", "json")
				if err := json.Unmarshal([]byte(js), &d); err != nil || len(d.Damages) == 0 || d.Damages[0].Next == "" {
					t.Errorf("as JSON: %v\n%s", err, js)
				}
			}
			switch out, code = m.try("system", "check", "--full", "--repair"); {
			case b.mends && (code != 0 || !strings.Contains(out, "(mended)")):
				t.Errorf("not mended: exit code %d\n%s", code, out)
			case !b.mends && code != 1:
				t.Errorf("exit code %d of what cannot be mended\n%s", code, out)
			}
			if b.mends {
				sound()
			}
			if b.then != nil {
				m.brig(b.then...)
			}
			m.clear()
		})
	}
	t.Run("a damaged record is set aside at the start", func(t *testing.T) {
		m.with(t)
		m.brig("run", "--name", "gone", image, "touch", "/data/precious")
		id := m.id("gone")
		dir := filepath.Join(m.Dir, "root/daemon/containers", id)
		m.put(dir+"/record.json", "{torn")
		m.next("brigd")
		if out, code := m.try("system", "check"); code != 1 || !strings.Contains(out, id[:12]+": its record cannot be read") {
			t.Errorf("exit code %d\n%s", code, out)
		}
		if _, err := os.Lstat(m.disk("containers/" + id[:2] + "/" + id + "/upper/data/precious")); err != nil { // it is still there
			t.Error(err)
		}
		m.remove(dir)
		m.next("brigd")
		sound()
	})
}
