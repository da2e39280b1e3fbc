package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// world is a directory that stands for a container's root, beside one of the host that nobody may reach.
type world struct {
	t    *testing.T
	root string
	host string
	fd   int
}

func newWorld(t *testing.T, script string) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	dir := t.TempDir()
	w := &world{t: t, root: filepath.Join(dir, "root"), host: filepath.Join(dir, "host")}
	for _, d := range []string{w.root, w.host} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.host+"/canary", []byte("host"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.sh(script)
	w.fd = w.open(w.root)
	return w
}

func (w *world) open(dir string) int {
	w.t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func (w *world) sh(script string) string {
	w.t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = w.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// untouched holds the host's directory against what it was.
func (w *world) untouched() {
	w.t.Helper()
	names, err := os.ReadDir(w.host)
	b, _ := os.ReadFile(w.host + "/canary")
	if err != nil || len(names) != 1 || string(b) != "host" {
		w.t.Errorf("the host's directory was changed: %v %q %v", names, b, err)
	}
}

var limits = jobs.Limits{}.WithDefaults()

// read packs a path as TreeRead does.
func (w *world) read(p string) (map[string]*tar.Header, string, error) {
	at, base, err := find(w.fd, p)
	if err != nil {
		return nil, "", err
	}
	defer at.close()
	st, err := at.stat()
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	if base == "/" {
		base = ""
	}
	err = packTo(&b, limits, &jobs.TreeResult{}, func(k *packer) error { return k.spot(&at, base, &st) })
	names, text := contents(w.t, &b)
	return names, text, err
}

func contents(t *testing.T, r io.Reader) (map[string]*tar.Header, string) {
	t.Helper()
	out, order := map[string]*tar.Header{}, []string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out, strings.Join(order, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = h
		b, _ := io.ReadAll(tr)
		if h.Typeflag == tar.TypeReg && strings.Contains(string(b), "host") {
			t.Errorf("%s has the host's bytes", h.Name)
		}
		order = append(order, h.Name)
	}
}

func TestNamesInArchives(t *testing.T) {
	w := newWorld(t, `mkdir -p d/e; echo x > d/f; ln -s d l; ln -s /d/f a; mkfifo p; ln d/f d/g`)
	w.xattr("d/f", "user.k", "v")
	w.xattr("d/e", "user.overlay.opaque", "y")
	for path, want := range map[string]string{
		"/d": "d/ d/e/ d/f d/g", "d/": "d/ d/e/ d/f d/g", "/d/.": "./ ./e/ ./f ./g", "/d/f": "f", "/l": "l", "/l/": "l/ l/e/ l/f l/g",
		"/l/.": "./ ./e/ ./f ./g", "/l/f": "f", "/p": "p", "/d/../d/f": "f", "/../d/f": "f", "/": "/ /a /d/ /d/e/ /d/f /d/g /l /p"} {
		if _, got, err := w.read(path); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", path, got, want, err)
		}
	}
	for path, class := range map[string]func(error) bool{"/none": errdefs.IsNotFound, "/d/f/": errdefs.IsInvalidArgument,
		"/d/f/x": errdefs.IsInvalidArgument, "/d\x00": errdefs.IsInvalidArgument} {
		if _, _, err := w.read(path); !class(err) {
			t.Errorf("%q: %v", path, err)
		}
	}
	got, _, _ := w.read("/d")
	if h := got["d/g"]; h.Typeflag != tar.TypeLink || h.Linkname != "d/f" {
		t.Errorf("a hard link is %+v", h)
	}
	if x := got["d/f"].PAXRecords; x["SCHILY.xattr.user.k"] != "v" {
		t.Errorf("attributes: %v", x)
	}
	if x := got["d/e/"].PAXRecords; len(x) != 0 {
		t.Errorf("overlayfs's own attribute travels: %v", x)
	}
}

func TestSize(t *testing.T) {
	w := newWorld(t, "mkdir -p a/b; printf 12345 > a/f; ln a/f a/b/g; printf 123 > a/b/h; ln -s "+strings.Repeat("x", 50)+
		" l; truncate -s 1000 hole; mkfifo p; mknod gone c 0 0; ln -s ../host a/out")
	size := func(limits jobs.Limits) (*jobs.TreeResult, error) {
		return (&work{params: &jobs.TreeParams{Do: jobs.TreeSize}, limits: limits, changed: w.fd}).do()
	}
	if r, err := size(limits); err != nil || r.Bytes != 5+3+1000 || r.Entries != 10 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := size(jobs.Limits{MaxEntries: 9}); !errors.Is(err, errdefs.ErrResourceExhausted) {
		t.Errorf("too many: %v", err)
	}
}

func TestStat(t *testing.T) {
	w := newWorld(t, `mkdir d; echo xyz > d/f; ln -s ../d/f d/l; ln -s l d/m; ln -s /none/x broken; ln -s loop loop; chmod 4751 d/f; ln -s /../../etc out`)
	for path, want := range map[string]string{"/d/f": "f -rwxr-x--x u 4 ", "/d": "d drwxr-xr-x  ", "/d/m": "m Lrwxrwxrwx  /d/f",
		"/broken": "broken Lrwxrwxrwx  /none/x", "/loop": "loop Lrwxrwxrwx  /loop", "/": "/ drwxr-xr-x  ", "/out": "out Lrwxrwxrwx  /etc"} {
		at, base, err := find(w.fd, path)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := at.stat()
		got := describe(w.fd, &at, path, base, &st)
		at.close()
		m := mode(st.Mode)
		text := fmt.Sprintf("%s %s  %s", got.Name, m&^os.ModeSetuid, got.LinkTarget)
		if m&os.ModeSetuid != 0 {
			text = fmt.Sprintf("%s %s u %d %s", got.Name, m&^os.ModeSetuid, got.Size, got.LinkTarget)
		}
		if text != want {
			t.Errorf("%s: %q, want %q", path, text, want)
		}
	}
}

// entries makes an archive.
func entries(t testing.TB, hs ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		body := []byte(h.Uname) // stands for the content
		h.Uname, h.Size = "", int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Typeflag != tar.TypeReg {
			h.Size, body = 0, nil
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write(body)
	}
	w.Close()
	return &b
}

func (w *world) write(p *jobs.TreeParams, in io.Reader) error {
	return newUnpacker(w.open(filepath.Join(w.root, p.Path)), p, limits).unpack(in)
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Uname: content}
}

func TestUnpack(t *testing.T) {
	w := newWorld(t, "mkdir -p in/dir/sub in/dir2; echo old > in/f; ln -s f in/l; mkdir other; ln -s ../other in/leads; ln -s dir in/inside")
	own := &jobs.TreeOwner{UID: 5, GID: 6}
	for _, c := range []struct {
		name   string
		params jobs.TreeParams
		in     []tar.Header
		err    string
		look   string // prints nothing if all is well
	}{
		{"file", jobs.TreeParams{}, []tar.Header{{Name: "f", Typeflag: tar.TypeReg, Uname: "new", Mode: 0o4750, Uid: 7, Gid: 8}}, "",
			`[ "$(cat in/f)-$(stat -c %a:%u:%g in/f)" = new-4750:7:8 ]`},
		{"owner", jobs.TreeParams{Owner: own}, []tar.Header{{Name: "f", Typeflag: tar.TypeReg, Uid: 7, Gid: 8}}, "", `[ "$(stat -c %u:%g in/f)" = 5:6 ]`},
		{"foreign owner", jobs.TreeParams{}, []tar.Header{{Name: "f", Typeflag: tar.TypeReg, Uid: 100000, Gid: 70000}}, "", `[ "$(stat -c %u:%g in/f)" = 0:0 ]`},
		{"missing parents", jobs.TreeParams{}, []tar.Header{file("a/b/c", "x")}, "", "[ -f in/a/b/c ]"},
		{"a link is replaced, not followed", jobs.TreeParams{}, []tar.Header{file("l", "x")}, "", `[ ! -L in/l ] && [ "$(cat in/f)" = "" ]`},
		{"directory keeps its content", jobs.TreeParams{KeepKind: true}, []tar.Header{{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o700}}, "", `[ -d in/dir/sub ] && [ $(stat -c %a in/dir) = 700 ]`},
		{"file over directory", jobs.TreeParams{KeepKind: true}, []tar.Header{file("dir", "x")}, "cannot overwrite directory", "[ -d in/dir ]"},
		{"directory over file", jobs.TreeParams{KeepKind: true}, []tar.Header{{Name: "f/", Typeflag: tar.TypeDir}}, "cannot overwrite non-directory", "[ -f in/f ]"},
		{"file over directory, allowed", jobs.TreeParams{}, []tar.Header{file("dir", "x")}, "", "[ -f in/dir ]"},
		{"hard link", jobs.TreeParams{}, []tar.Header{file("h1", "x"), {Name: "h2", Typeflag: tar.TypeLink, Linkname: "h1"}}, "", "[ $(stat -c %h in/h1) = 2 ]"},
		{"FIFO", jobs.TreeParams{}, []tar.Header{{Name: "p", Typeflag: tar.TypeFifo}}, "", "[ -p in/p ]"},
		{"link", jobs.TreeParams{}, []tar.Header{{Name: "s", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd", Uid: 3}}, "", `[ "$(readlink in/s):$(stat -c %u in/s)" = /etc/passwd:3 ]`},
		{"through a link inside", jobs.TreeParams{}, []tar.Header{file("inside2/x", "x"), {Name: "lk", Typeflag: tar.TypeSymlink, Linkname: "inside2"}, file("lk/y", "y")}, "", "[ -f in/inside2/y ]"},
		{"through a link out of the directory", jobs.TreeParams{}, []tar.Header{file("leads/x", "x")}, "leads out", "[ ! -e other/x ]"},
		{"attributes", jobs.TreeParams{}, []tar.Header{{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{
			"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.security.capability": "c"}}},
			"", "[ -f in/x ]"},
	} {
		c.params.Path = "in"
		err := w.write(&c.params, entries(t, c.in...))
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
		w.sh(c.look + " || { echo " + "'" + c.name + "'; exit 1; }")
	}
	names := make([]byte, 200)
	if n, err := unix.Listxattr(w.root+"/in/x", names); err != nil || string(names[:n]) != "user.a\x00" {
		t.Errorf("attributes: %q %v", names[:max(n, 0)], err)
	}
}

func (w *world) xattr(name, key, value string) {
	w.t.Helper()
	if err := unix.Setxattr(filepath.Join(w.root, name), key, []byte(value), 0); err != nil {
		w.t.Fatal(err)
	}
}

// What an archive can try to leave the directory (CVE-2026-17106, CVE-2014-9356): nothing outside is read or changed.
func TestHostileArchivesStayInside(t *testing.T) {
	for name, in := range map[string][]tar.Header{
		"dots":                  {file("../host/x", "x")},
		"dots in the middle":    {file("a/../../host/x", "x")},
		"absolute link":         {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "HOST"}, file("l/x", "x")},
		"relative link":         {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../host"}, file("l/canary", "x")},
		"link to a link":        {{Name: "a", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "b", Typeflag: tar.TypeSymlink, Linkname: "a/host"}, file("b/x", "x")},
		"file over a link":      {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../host/canary"}, file("l", "x")},
		"hard link out":         {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../host/canary"}, file("h", "x")},
		"hard link by a link":   {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../host"}, {Name: "h", Typeflag: tar.TypeLink, Linkname: "l/canary"}},
		"directory over a link": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../host"}, {Name: "l/", Typeflag: tar.TypeDir, Mode: 0o700}, file("l/x", "x")},
		"block device":          {{Name: "d", Typeflag: tar.TypeBlock, Devmajor: 8}},
		"character device":      {{Name: "d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1}},
		"whiteout":              {{Name: "d", Typeflag: tar.TypeChar}},
	} {
		for _, path := range []string{"", "in"} {
			w := newWorld(t, "mkdir in")
			for i := range in {
				in[i].Linkname = strings.ReplaceAll(in[i].Linkname, "HOST", w.host)
			}
			err := w.write(&jobs.TreeParams{Path: path}, entries(t, in...))
			w.untouched()
			if out := w.sh("find . -type b -o -type c -o -links +1 -type f"); out != "" {
				t.Errorf("%s: made %s (%v)", name, out, err)
			}
		}
	}
}

func TestArchivesAreBounded(t *testing.T) {
	w := newWorld(t, "mkdir in")
	small := jobs.Limits{MaxBytes: 1 << 20, MaxEntries: 10}.WithDefaults()
	var many []tar.Header
	for i := range 11 {
		many = append(many, file(fmt.Sprint("f", i), "x"))
	}
	for name, in := range map[string]io.Reader{
		"entries": entries(t, many...),
		"bytes":   entries(t, file("big", strings.Repeat("x", 2<<20))),
		"sum":     entries(t, file("a", strings.Repeat("x", 600<<10)), file("b", strings.Repeat("x", 600<<10))),
	} {
		p := &jobs.TreeParams{Path: "in"}
		if err := newUnpacker(w.open(w.root+"/in"), p, small).unpack(in); !errdefs.IsResourceExhausted(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.write(&jobs.TreeParams{Path: "in"}, strings.NewReader("\xfd7zXZ\x00")); err == nil || !strings.Contains(err.Error(), "xz") {
		t.Errorf("xz: %v", err)
	}
	if err := w.write(&jobs.TreeParams{Path: "in"}, strings.NewReader(strings.Repeat("garbage", 1000))); !errdefs.IsInvalidArgument(err) {
		t.Errorf("garbage: %v", err)
	}
	deep := strings.Repeat("d/", maxDepth+50)
	w.sh("rm -rf in; mkdir -p " + deep)
	if _, _, err := w.read("/d"); !errdefs.IsResourceExhausted(err) {
		t.Errorf("deep directories: %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(entries(f, file("a/b", "x"), tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, file("l/x", "y")).Bytes())
	f.Add(entries(f, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "a"}, tar.Header{Name: "p", Typeflag: tar.TypeFifo}).Bytes())
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir, err := os.MkdirTemp("/dev/shm", "brig-fuzz-") // memory: a disk would be most of the time
		if err != nil {
			t.Skip("missing: /dev/shm")
		}
		defer os.RemoveAll(dir)
		if err := os.Mkdir(dir+"/in", 0o755); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(dir+"/in", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		l := jobs.Limits{MaxBytes: 1 << 20, MaxEntries: 100}.WithDefaults()
		_ = newUnpacker(fd, &jobs.TreeParams{Path: "in"}, l).unpack(bytes.NewReader(b)) // it may well be no archive
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("left the directory: %v %v", names, err)
		}
	})
}

// A few bytes of an archive can stand for gigabytes of zeros; and what compression blows up is bounded.
func TestZerosTakeNoRoom(t *testing.T) {
	w := newWorld(t, "mkdir in")
	zero := file("zeros", strings.Repeat("\x00", 32<<20))
	mixed := file("mixed", strings.Repeat("\x00", 1<<20)+"x"+strings.Repeat("\x00", 1<<20))
	if err := w.write(&jobs.TreeParams{Path: "in"}, entries(t, zero, mixed)); err != nil {
		t.Fatal(err)
	}
	if out := w.sh("stat -c '%n %s' in/*; tr -d '\\0' < in/mixed; head -c 1048577 in/mixed | tail -c 1"); out != "in/mixed 2097153\nin/zeros 33554432\nxx" {
		t.Errorf("%q", out)
	}
	var st unix.Stat_t
	if err := unix.Stat(w.root+"/in/zeros", &st); err != nil || st.Blocks*512 > 1<<20 {
		t.Errorf("32 MiB of zeros take %d bytes (%v)", st.Blocks*512, err)
	}
	raw := &counter{}
	raw.n.Store(1 << 20)
	b := &bounded{r: nothing{}, raw: raw, limits: limits}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, b, make([]byte, 1<<20))
	if !errdefs.IsResourceExhausted(err) || n > 1<<30 {
		t.Errorf("a MiB became %d bytes: %v", n, err)
	}
}

// nothing reads as zeros, without end.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }

// A process of the container that has a lease of a file holds up no copy: it fails, and says that it may be tried again.
func TestALeaseHoldsUpNoCopy(t *testing.T) {
	w := newWorld(t, "echo x > f")
	f, err := os.OpenFile(w.root+"/f", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("missing: leases: ", err)
	}
	if _, _, err := w.read("/f"); !errdefs.IsConflict(err) {
		t.Errorf("%v", err)
	}
}

// While names are read a file may go and another one take its number: that is no second name of the first.
func TestANumberThatIsUsedAgainIsAnotherFile(t *testing.T) {
	a, b := unix.Stat_t{Ino: 1, Ctim: unix.Timespec{Sec: 1}}, unix.Stat_t{Ino: 1, Ctim: unix.Timespec{Sec: 1, Nsec: 5}}
	if inodeOf(&a) == inodeOf(&b) {
		t.Error("they are one")
	}
}
