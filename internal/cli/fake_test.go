package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fakeEngine answers requests with what a test laid down, and remembers them.
type fakeEngine struct {
	host    string
	t       *testing.T
	broken  bool // bodies that end too early are meant
	mu      sync.Mutex
	seen    []recorded
	answers map[string]http.HandlerFunc
}

type recorded struct {
	Line   string // METHOD path?query, without the version
	Header http.Header
	Body   string
}

func newFake(t *testing.T) *fakeEngine {
	t.Helper()
	f := &fakeEngine{t: t, answers: make(map[string]http.HandlerFunc)}
	f.host = serve(t, f)
	f.on("HEAD /_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.50")
		w.Header().Set("Ostype", "linux")
	})
	return f
}

// serve answers on a socket of its own and returns its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "brig-cli-") // t.TempDir is too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "unix://" + filepath.Join(dir, "s")
}

// on lays down the answer to a request. A path that ends in * is a prefix.
func (f *fakeEngine) on(line string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[line] = h
}

func (f *fakeEngine) json(line string, status int, body string) {
	f.on(line, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1.50")
	key := r.Method + " " + path
	f.mu.Lock()
	h := f.answers[key]
	for pattern, candidate := range f.answers {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && h == nil && strings.HasPrefix(key, prefix) {
			h = candidate
		}
	}
	f.mu.Unlock()
	seen := recorded{Line: key, Header: r.Header}
	if r.URL.RawQuery != "" {
		seen.Line += "?" + r.URL.Query().Encode()
	}
	// The body of a stream is read by its answer.
	if r.Header.Get("Upgrade") == "" || r.ContentLength > 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			if !f.broken {
				f.t.Errorf("%s: body: %v", key, err)
			}
			return
		}
		seen.Body = string(body)
	}
	if r.URL.Path != "/_ping" {
		f.mu.Lock()
		f.seen = append(f.seen, seen)
		f.mu.Unlock()
	}
	if h == nil {
		f.t.Errorf("unexpected request %s", seen.Line)
		http.Error(w, `{"message":"unexpected"}`, http.StatusNotImplemented)
		return
	}
	h(w, r)
}

func (f *fakeEngine) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.seen {
		out = append(out, r.Line)
	}
	return out
}

func (f *fakeEngine) last(prefix string) *recorded {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.seen) - 1; i >= 0; i-- {
		if strings.HasPrefix(f.seen[i].Line, prefix) {
			return &f.seen[i]
		}
	}
	return nil
}

// result is what a command line left behind.
type result struct {
	code     int
	out, err string
}

func (f *fakeEngine) brig(stdin string, args ...string) result {
	f.t.Helper()
	var out, errs bytes.Buffer
	a := testApp(f.host)
	a.In, a.Out, a.Err = strings.NewReader(stdin), &out, &errs
	return result{a.Run(context.Background(), args), out.String(), errs.String()}
}

func testApp(host string) *App {
	env := map[string]string{"BRIG_HOST": host, "DOCKER_CONFIG": "/nonexistent"}
	return &App{
		Version: "1.2.3", In: strings.NewReader(""), Out: io.Discard, Err: io.Discard,
		Getenv: func(k string) string { return env[k] },
		Now:    func() time.Time { return time.Unix(1_700_000_000, 0) },
	}
}

// program lays down a container whose program is played by act: it gets the raw stream and returns the exit status.
func (f *fakeEngine) program(act func(s io.ReadWriter) int) {
	started, ended := make(chan struct{}), make(chan int, 1)
	f.json("POST /containers/create", 201, `{"Id":"0123456789abcdef","Warnings":[]}`)
	f.on("POST /containers/0123456789abcdef/start", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(204)
		close(started)
	})
	f.on("POST /containers/0123456789abcdef/wait", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		json.NewEncoder(w).Encode(map[string]int{"StatusCode": <-ended})
	})
	f.on("POST /containers/0123456789abcdef/attach", func(w http.ResponseWriter, _ *http.Request) {
		stream, closeStream := f.hijack(w)
		defer closeStream()
		<-started
		ended <- act(stream)
	})
	f.on("DELETE /containers/0123456789abcdef", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
}

// hijack turns a request into a raw stream.
func (f *fakeEngine) hijack(w http.ResponseWriter, header ...string) (io.ReadWriter, func()) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		f.t.Error(err)
		return &bytes.Buffer{}, func() {}
	}
	io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"+
		"Connection: Upgrade\r\nUpgrade: tcp\r\n"+strings.Join(append(header, ""), "\r\n")+"\r\n")
	return struct {
		io.Reader
		io.Writer
	}{buf, conn}, func() { conn.Close() }
}

// frame makes one frame of a multiplexed stream.
func frame(stream byte, text string) string {
	return string(binary.BigEndian.AppendUint32([]byte{stream, 0, 0, 0}, uint32(len(text)))) + text
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update if that is meant):\n got:\n%s\nwant:\n%s", path, got, want)
	}
}

// hang accepts requests and never answers them.
type hang struct{}

func (hang) ServeHTTP(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
