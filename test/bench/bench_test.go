package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/test/room"
)

func TestNoPlaceholderIsUnknown(t *testing.T) {
	for _, e := range engines("/bin", "group") {
		for _, words := range [][]string{
			e.Daemon, e.Ready, e.Open, e.Stop, e.Load, e.Once, e.Exec, e.Idle, e.Remove, e.Unload,
		} {
			filled := fill(words, "/dir", "/archive", "image")
			filled = (&room.Job{Command: filled, Prefix: "i"}).Words(7)
			if i := slices.IndexFunc(filled, func(w string) bool { return strings.ContainsAny(w, "{}") }); i >= 0 {
				t.Errorf("%s: %q", e.Name, filled)
			}
		}
	}
}

func TestArchivesHaveTheSameBytesEachTime(t *testing.T) {
	var seen [2][]byte
	busybox := likeBusybox(t)
	for i := range seen {
		dir := t.TempDir()
		layer, archive := filepath.Join(dir, "layer"), filepath.Join(dir, "archive")
		id, err := writeLayer(layer, busybox, 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeArchive(archive, smallImage, layer, id); err != nil {
			t.Fatal(err)
		}
		if seen[i], err = os.ReadFile(archive); err != nil {
			t.Fatal(err)
		}
	}
	if string(seen[0]) != string(seen[1]) {
		t.Error("two archives of the same differ")
	}
	var names []string
	for r := tar.NewReader(strings.NewReader(string(seen[0]))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if len(names) != 3 || names[2] != "manifest.json" {
		t.Errorf("entries: %q", names)
	}
}

func TestBundlesAreConfined(t *testing.T) {
	dir := t.TempDir()
	if err := makeBundles(dir, likeBusybox(t)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"once", "idle"} {
		text, err := os.ReadFile(filepath.Join(dir, name, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var s specs.Spec
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		if s.Linux.Seccomp == nil || len(s.Linux.Seccomp.Syscalls) == 0 || !s.Process.NoNewPrivileges {
			t.Errorf("%s: a peer must not be measured without what Docker confines with", name)
		}
	}
}

// likeBusybox is a copy of this program under the name that tells a container's program from an engine's.
func likeBusybox(t *testing.T) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), room.IdleProgram)
	if err := os.WriteFile(path, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
