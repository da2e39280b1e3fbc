package cli

import (
	"archive/tar"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadPacksAnOCILayout(t *testing.T) {
	dir := t.TempDir()
	for path, text := range map[string]string{"oci-layout": "{}", "index.json": "{1}", "blobs/sha256/ab": "blob"} {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := newFake(t)
	f.json("POST /images/load", 200, `{"stream":"Loaded image: alpine:3.20\n"}`)
	r := f.brig("", "load", "-i", dir)
	if r.code != 0 || r.out != "Loaded image: alpine:3.20\n" {
		t.Fatalf("got %+v", r)
	}
	sent := f.last("POST /images/load")
	if sent.Header.Get("Content-Type") != "application/x-tar" {
		t.Errorf("headers %v", sent.Header)
	}
	var got []string
	for tr := tar.NewReader(strings.NewReader(sent.Body)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(tr)
		got = append(got, h.Name+"="+string(text))
	}
	if s := strings.Join(got, " "); s != "blobs/sha256/ab=blob index.json={1} oci-layout={}" {
		t.Errorf("archive holds %s", s)
	}
}

func TestLoadDoesNotFollowLinksOutOfALayout(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "oci-layout"), []byte("{}"), 0o600)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	f.on("POST /images/load", func(http.ResponseWriter, *http.Request) { t.Error("the archive was accepted") })
	f.broken = true
	if r := f.brig("", "load", "-i", dir); r.code != 1 || !strings.Contains(r.err, "index.json") {
		t.Errorf("got %+v", r)
	}
}

func TestLoadSources(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar")
	os.WriteFile(file, []byte("archive"), 0o600)
	f := newFake(t)
	f.json("POST /images/load", 200, "")
	for _, c := range []struct {
		stdin string
		args  []string
		ok    bool
	}{
		{stdin: "archive", args: []string{"load"}, ok: true},
		{args: []string{"load", "-i", file}, ok: true},
		{args: []string{"load", "-i", dir}},
		{args: []string{"load", "-i", file + "x"}},
	} {
		r := f.brig(c.stdin, c.args...)
		if (r.code == 0) != c.ok {
			t.Errorf("%v: %+v", c.args, r)
		}
		if got := f.last("POST /images/load"); c.ok && got.Body != "archive" {
			t.Errorf("%v sent %q", c.args, got.Body)
		}
	}
	f.json("POST /images/load", 400, `{"message":"layer 3: digest does not match"}`)
	if r := f.brig(strings.Repeat("x", 1<<20), "load"); r.code != 1 || r.err != "brig: layer 3: digest does not match\n" {
		t.Errorf("refusal: %+v", r)
	}
}

// TestARefusalDuringAnUploadIsHeard has an engine that answers without reading the body.
func TestARefusalDuringAnUploadIsHeard(t *testing.T) {
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(507)
		io.WriteString(w, `{"message":"the disk is full"}`)
	}))
	a := testApp(host)
	var errs strings.Builder
	a.Err = &errs
	a.In = io.LimitReader(zeros{}, 64<<20)
	if code := a.Run(t.Context(), []string{"load"}); code != 1 || errs.String() != "brig: the disk is full\n" {
		t.Errorf("status %d: %s", code, errs.String())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSaveIsWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.tar")
	os.WriteFile(path, []byte("old"), 0o600)
	f := newFake(t)
	f.on("GET /images/get", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "cut off")
	})
	if r := f.brig("", "save", "-o", path, "a", "b"); r.code != 1 {
		t.Errorf("a cut off archive: %+v", r)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("the old archive became %q", got)
	}
	f.on("GET /images/get", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "new") })
	if r := f.brig("", "save", "-o", path, "a", "b"); r.code != 0 {
		t.Errorf("got %+v", r)
	}
	if got, _ := os.ReadFile(path); string(got) != "new" {
		t.Errorf("the archive is %q", got)
	}
	if got := f.last("GET /images/get").Line; got != "GET /images/get?names=a&names=b" {
		t.Errorf("asked %s", got)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("files left: %v", entries)
	}
}

func TestImport(t *testing.T) {
	f := newFake(t)
	f.json("POST /images/create", 200, `{"status":"Importing"}
		{"id":"12","status":"Loading layer"}{"status":"sha256:12"}`)
	r := f.brig("rootfs", "import", "-c", "CMD x", "-m", "msg", "-", "foo:bar")
	if r.code != 0 || r.out != "sha256:12\n" {
		t.Errorf("got %+v", r)
	}
	got := f.last("POST /images/create")
	if got.Line != "POST /images/create?changes=CMD+x&fromSrc=-&message=msg&repo=foo%3Abar" || got.Body != "rootfs" {
		t.Errorf("sent %+v", got)
	}
	if r := f.brig("", "import", "https://example.org/x.tar"); r.code != 1 || !strings.Contains(r.err, "curl") {
		t.Errorf("from the web: %+v", r)
	}
}
