package use

import (
	"encoding/json"
	"flag"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// texts reads a directory of files as the warden names them.
func texts(t *testing.T, dir string) Texts {
	t.Helper()
	all := Texts{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBothVersionsBecomeDockersShape(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		s := texts(t, filepath.Join("testdata", version)).Stats()
		got, err := json.MarshalIndent(s, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", version+".json")
		if *update {
			if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != string(want) {
			t.Errorf("%s differs (run with -update to accept):\n%s", path, got)
		}
	}
}

// What is not there, or does not parse, counts as nothing.
func TestTextsThatSayNothing(t *testing.T) {
	for name, x := range map[string]Texts{
		"none": {}, "empty": {"cpu.stat": "", "memory.current": "", "io.stat": "", "net/dev": "", "stat": "", "pids.current": ""},
		"odd": {"cpu.stat": "usage_usec\nuser_usec x\n", "memory.current": "max", "io.stat": "8 rbytes=1\n", "net/dev": ":\n a: 1", "stat": "cpu 1\n",
			"pids.current": "-1", "v1/cpuacct.usage_percpu": ""},
	} {
		s := x.Stats()
		if s.CPUStats.CPUUsage.TotalUsage+s.CPUStats.SystemUsage+s.MemoryStats.Usage+s.PidsStats.Current != 0 ||
			len(s.Networks)+len(s.BlkioStats.IoServiceBytesRecursive) != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func FuzzStats(f *testing.F) {
	for _, version := range []string{"v1", "v2"} {
		for _, file := range []string{"net/dev", "stat", "cpu.stat", "memory.stat", "io.stat"} {
			b, _ := os.ReadFile(filepath.Join("testdata", version, file))
			f.Add(string(b))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		x := Texts{}
		for _, name := range []string{"cpu.stat", "v1/cpu.stat", "memory.current", "memory.stat", "net/dev", "stat", "pids.current",
			"v1/blkio.throttle.io_service_bytes_recursive"} {
			x[name] = text
		}
		for _, io := range []string{"", "io.stat"} {
			if io != "" {
				x[io] = text
			}
			s := x.Stats()
			if _, err := json.Marshal(s); err != nil {
				t.Fatal(err)
			}
			if s.CPUStats.OnlineCPUs > math.MaxInt32 || len(s.Networks) > len(text) || len(s.BlkioStats.IoServiceBytesRecursive) > 2*len(text) {
				t.Fatalf("%+v", s)
			}
		}
	})
}
