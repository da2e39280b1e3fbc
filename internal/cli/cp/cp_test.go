package cp

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for arg, want := range map[string][2]string{"web:/x": {"web", "/x"}, "web:x:y": {"web", "x:y"}, "/a:b": {"", "/a:b"}, "./a:b": {"", "./a:b"},
		"file": {"", "file"}, "-": {"", "-"}, ":/x": {"", "/x"}, "web:": {"web", ""}} {
		if c, p := Split(arg); c != want[0] || p != want[1] {
			t.Errorf("%s: %q %q", arg, c, p)
		}
	}
}

func TestEntry(t *testing.T) {
	for path, want := range map[string]string{"/a/b": "/a b", "/a/b/": "/a b", "/a/b/.": "/a/b .", "a": ". a", "/": "/ /", ".": ". .", "/a/../b": "/ b"} {
		if dir, base := Entry(path); dir+" "+base != want {
			t.Errorf("%s: %q %q", path, dir, base)
		}
	}
}

func TestPlan(t *testing.T) {
	dir := func(p string) End { return End{Path: p, Exists: true, IsDir: true} }
	file := func(p string) End { return End{Path: p, Exists: true} }
	for _, c := range []struct {
		src, dst End
		want     string
	}{
		{file("/s/f"), dir("/d"), "/d f"}, {file("/s/f"), file("/d/g"), "/d g"}, {file("/s/f"), End{Path: "/d/new"}, "/d new"},
		{file("/s/f"), End{Path: "/d/new/"}, errNoDirectory.Error()}, {dir("/s"), file("/d/g"), errDirectoryToFile.Error()},
		{dir("/s"), End{Path: "/d/new/"}, "/d new"}, {dir("/s/."), dir("/d"), "/d ."}, {dir("/s/."), End{Path: "/d/new"}, "/d new"},
		{End{Path: "/s/real", Exists: true, Rename: "link"}, dir("/d"), "/d link"}, {dir("/"), dir("/d"), "/d ."},
	} {
		d, top, err := Plan(c.src, c.dst)
		got := d + " " + top
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v to %v: %q, want %q", c.src, c.dst, got, c.want)
		}
	}
}

func archive(t testing.TB, hs ...tar.Header) *bytes.Buffer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		if h.Typeflag == tar.TypeReg {
			h.Size = 4
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write([]byte("evil"))
		}
	}
	w.Close()
	return &b
}

// An archive from a container in which everything is hostile: nothing beside the directory is changed, nothing gets set-id
// bits, nothing is a device.
func TestUnpackStaysInside(t *testing.T) {
	for name, hs := range map[string][]tar.Header{
		"dots":          {{Name: "d/../../canary", Typeflag: tar.TypeReg}},
		"root":          {{Name: "/../canary", Typeflag: tar.TypeReg}},
		"link":          {{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, {Name: "d/l/canary", Typeflag: tar.TypeReg}},
		"absolute link": {{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "HOST"}, {Name: "d/l/canary", Typeflag: tar.TypeReg}},
		"over a link":   {{Name: "d", Typeflag: tar.TypeSymlink, Linkname: "../canary"}, {Name: "d", Typeflag: tar.TypeReg}},
		"hard link":     {{Name: "d/h", Typeflag: tar.TypeLink, Linkname: "../canary"}, {Name: "d/h", Typeflag: tar.TypeReg}},
		"hard link by a link": {{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."},
			{Name: "d/h", Typeflag: tar.TypeLink, Linkname: "d/l/canary"}},
		"times by a link": {{Name: "d/s/", Typeflag: tar.TypeDir, Mode: 0o777}, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."}},
		"device":          {{Name: "d/sda", Typeflag: tar.TypeBlock, Devmajor: 8}, {Name: "d/p", Typeflag: tar.TypeFifo}},
		"set-id":          {{Name: "d/su", Typeflag: tar.TypeReg, Mode: 0o6755}, {Name: "d/dir/", Typeflag: tar.TypeDir, Mode: 0o6777}},
	} {
		host := t.TempDir()
		in := filepath.Join(host, "in")
		os.Mkdir(in, 0o755)
		os.WriteFile(host+"/canary", []byte("host"), 0o640)
		for i := range hs {
			hs[i].Linkname = strings.ReplaceAll(hs[i].Linkname, "HOST", host)
		}
		skipped := 0
		_, err := Unpack(archive(t, hs...), in, "d", "d", func(string, string) { skipped++ })
		b, _ := os.ReadFile(host + "/canary")
		st, _ := os.Stat(host + "/canary")
		names, _ := os.ReadDir(host)
		if string(b) != "host" || len(names) != 2 || st.Mode() != 0o640 {
			t.Errorf("%s: the canary is %q %v, beside it %v (%v)", name, b, st.Mode(), names, err)
		}
		filepath.Walk(in, func(path string, info os.FileInfo, err error) error {
			if err == nil && info.Mode()&(os.ModeSetuid|os.ModeSetgid|os.ModeDevice|os.ModeNamedPipe) != 0 {
				t.Errorf("%s: %s is %v", name, path, info.Mode())
			}
			return nil
		})
		if name == "device" && skipped != 2 {
			t.Errorf("%d entries were left out", skipped)
		}
	}
}

func TestPackAndUnpack(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	os.MkdirAll(src+"/a/b", 0o751)
	os.WriteFile(src+"/a/b/f", []byte("text"), 0o640)
	os.Symlink("b/f", src+"/a/l")
	r := Pack(End{Path: src + "/a", IsDir: true}, "top")
	defer r.Close()
	if n, err := Unpack(r, dst, "top", "other", nil); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	b, err := os.ReadFile(dst + "/other/l")
	if st, _ := os.Stat(dst + "/other/b/f"); err != nil || string(b) != "text" || st.Mode() != 0o640 {
		t.Errorf("%q %v %v", b, st, err)
	}
}

func FuzzUnpackArchive(f *testing.F) {
	f.Add(archive(f, tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, tar.Header{Name: "d/l/x", Typeflag: tar.TypeReg}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		host, err := os.MkdirTemp("/dev/shm", "brig-fuzz-")
		if err != nil {
			t.Skip("missing: /dev/shm")
		}
		defer os.RemoveAll(host)
		os.Mkdir(host+"/in", 0o755)
		_, _ = Unpack(bytes.NewReader(b), host+"/in", "d", "d", func(string, string) {}) // it may well be no archive
		if names, err := os.ReadDir(host); err != nil || len(names) != 1 {
			t.Errorf("left the directory: %v %v", names, err)
		}
	})
}
