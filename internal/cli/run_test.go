package cli

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestRunAttachesAndWaitsBeforeTheProgramStarts(t *testing.T) {
	f := newFake(t)
	f.program(func(s io.ReadWriter) int {
		io.WriteString(s, frame(1, "out\n")+frame(2, "err\n"))
		return 0
	})
	r := f.brig("", "run", "--rm", "alpine", "true")
	if r.code != 0 || r.out != "out\n" || r.err != "err\n" {
		t.Fatalf("got %+v", r)
	}
	lines := f.lines()
	if len(lines) != 4 || lines[0] != "POST /containers/create?stderr=1&stdout=1&stream=1" ||
		lines[3] != "POST /containers/0123456789abcdef/start" ||
		!slices.Contains(lines[1:3], "POST /containers/0123456789abcdef/attach?stderr=1&stdout=1&stream=1") ||
		!slices.Contains(lines[1:3], "POST /containers/0123456789abcdef/wait?condition=removed") {
		t.Errorf("requests: %q", lines)
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		name    string
		program int
		create  string // refusal
		start   string // refusal
		args    []string
		code    int
		err     string
	}{
		{name: "the program's own", program: 42, code: 42},
		{name: "success", code: 0},
		{name: "refused by policy", create: "rule floor-3: --privileged is not allowed", code: 125,
			err: "brig: rule floor-3: --privileged is not allowed\n"},
		{name: "program not found", start: `exec: "nope": executable file not found in $PATH`, code: 127,
			err: "brig: exec: \"nope\": executable file not found in $PATH\n"},
		{name: "program not executable", start: `exec: "/etc": permission denied`, code: 126,
			err: "brig: exec: \"/etc\": permission denied\n"},
		{name: "engine failed", start: "mount proc on /proc: operation not permitted", code: 125,
			err: "brig: mount proc on /proc: operation not permitted\n"},
		{name: "unknown option", args: []string{"run", "--foo", "alpine"}, code: 125,
			err: "brig: unknown flag: --foo\nSee 'brig run --help'.\n"},
		{name: "no image", args: []string{"run"}, code: 125,
			err: "brig: \"brig run\" needs at least 1 argument\nUsage: brig run [OPTIONS] IMAGE [COMMAND] [ARG...]\n" +
				"See 'brig run --help'.\n"},
		{name: "bad value", args: []string{"run", "-m", "lots", "alpine"}, code: 125,
			err: "brig: --memory \"lots\": a size is needed, like 128m: invalid size: 'lots'\nSee 'brig run --help'.\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.program(func(io.ReadWriter) int { return c.program })
			if c.create != "" {
				f.json("POST /containers/create", 403, `{"message":`+quote(c.create)+`}`)
			}
			if c.start != "" {
				f.json("POST /containers/0123456789abcdef/start", 400, `{"message":`+quote(c.start)+`}`)
			}
			args := c.args
			if args == nil {
				args = []string{"run", "alpine", "x"}
			}
			r := f.brig("", args...)
			if r.code != c.code || r.err != c.err {
				t.Errorf("got status %d, error %q; want %d, %q", r.code, r.err, c.code, c.err)
			}
			if taken := slices.Contains(f.lines(), "DELETE /containers/0123456789abcdef?v=1"); taken != (c.start != "") {
				t.Errorf("taken back: %v in %q", taken, f.lines())
			}
		})
	}
}

func TestOutOfMemoryIsSaid(t *testing.T) {
	f := newFake(t)
	f.program(func(io.ReadWriter) int { return 0 })
	f.json("POST /containers/0123456789abcdef/wait", 200, `{"StatusCode":137,"OOMKilled":true}`)
	r := f.brig("", "run", "--rm", "alpine")
	if r.code != 137 || !strings.HasPrefix(r.err, "brig: out of memory") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("got status %d, error %q", r.code, r.err)
	}
}

func quote(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

func TestRunPullsAMissingImageOnce(t *testing.T) {
	f := newFake(t)
	f.program(func(io.ReadWriter) int { return 0 })
	pulled := false
	create := f.answers["POST /containers/create"]
	f.on("POST /containers/create", func(w http.ResponseWriter, r *http.Request) {
		if !pulled {
			w.WriteHeader(404)
			io.WriteString(w, `{"message":"no such image: alpine:latest"}`)
			return
		}
		create(w, r)
	})
	f.on("POST /images/create", func(w http.ResponseWriter, _ *http.Request) {
		pulled = true
		io.WriteString(w, `{"status":"Pulling from library/alpine","id":"latest"}`+"\n")
	})
	r := f.brig("", "run", "alpine")
	if r.code != 0 || r.err != "brig: image alpine is not here; pulling it\nlatest: Pulling from library/alpine\n" {
		t.Errorf("got %+v", r)
	}
	if got := f.last("POST /images/create"); got.Line != "POST /images/create?fromImage=alpine&tag=latest" {
		t.Errorf("pulled with %s", got.Line)
	}
	pulled = false
	if r := f.brig("", "run", "--pull=never", "alpine"); r.code != 125 || pulled {
		t.Errorf("--pull=never: %+v, pulled %v", r, pulled)
	}
}

func TestAPullThatFailsHalfwayIsAFailure(t *testing.T) {
	f := newFake(t)
	f.json("POST /images/create", 200, `{"status":"Pulling"}{"errorDetail":{"message":"digest does not match"}}`)
	if r := f.brig("", "pull", "alpine"); r.code != 1 || r.err != "brig: digest does not match\n" {
		t.Errorf("got %+v", r)
	}
}

func TestInputIsHalfClosed(t *testing.T) {
	f := newFake(t)
	f.program(func(s io.ReadWriter) int {
		in, err := io.ReadAll(s) // returns only when the input's end arrived
		if err != nil {
			t.Error(err)
		}
		io.WriteString(s, frame(1, strings.ToUpper(string(in))))
		return 0
	})
	if r := f.brig("abc", "run", "-i", "alpine", "cat"); r.code != 0 || r.out != "ABC" {
		t.Errorf("got %+v", r)
	}
}

const created = `{"Id":"0123456789abcdef","Warnings":["it is slow"]}`

// An engine that knows the request creates, attaches, starts and waits in one; an older one created by the first.
func TestRunIsOneRequest(t *testing.T) {
	for _, x := range []struct {
		frames, out, err string
		code             int
	}{
		{frame(1, "out") + frame(2, "err") + frame(4, `{"StatusCode":3}`), "out", "err", 3},
		{frame(4, `{"StatusCode":0}`), "", "", 0},
		{frame(4, `{"StatusCode":137,"OOMKilled":true}`), "", "brig: out of memory", 137},
		{frame(4, `{"StatusCode":137,"OOMKilled":true,"OOMReason":"it met its limit"}`), "", "brig: out of memory: it met its limit", 137},
		{frame(4, `{"StatusCode":0,"Error":{"Message":"it went wrong"}}`), "", "brig: it went wrong", 125},
		{frame(1, "out"), "out", "brig: lost the engine", 125},
		{frame(4, `nonsense`), "", "brig: lost the engine", 125},
	} {
		for requests := 1; requests <= 2; requests++ {
			f := newFake(t)
			run := func(more ...string) func(w http.ResponseWriter, r *http.Request) {
				return func(w http.ResponseWriter, r *http.Request) {
					q := r.URL.Query()
					if r.Header.Get("Brig-Run") != "removed" || q.Get("stream") != "1" || q.Get("stdout") != "1" {
						t.Errorf("asked with %q, %q", r.Header, q)
					}
					stream, closeStream := f.hijack(w, append(more, "Brig-Run: started")...)
					defer closeStream()
					io.WriteString(stream, x.frames)
				}
			}
			if requests == 1 {
				f.on("POST /containers/create", run("Brig-Created: "+created))
			} else {
				f.json("POST /containers/create", 201, created)
				f.on("POST /containers/0123456789abcdef/attach", run())
			}
			r := f.brig("", "run", "--rm", "alpine")
			wantErr := "brig: warning: it is slow\n" + x.err
			if r.code != x.code || r.out != x.out || !strings.HasPrefix(r.err, wantErr) || len(f.lines()) != requests {
				t.Errorf("%q: got %+v after %q", x.frames, r, f.lines())
			}
		}
	}
}

func TestARunThatDoesNotStartIsTakenBack(t *testing.T) {
	f := newFake(t)
	f.on("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Brig-Created", created)
		w.WriteHeader(404) // not that of a missing image
		io.WriteString(w, `{"message":"exec: \"image\": executable file not found in $PATH"}`)
	})
	f.on("DELETE /containers/0123456789abcdef", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	r := f.brig("", "run", "alpine", "image")
	if r.code != 127 || len(f.lines()) != 2 || f.last("DELETE ") == nil {
		t.Errorf("got %+v after %q", r, f.lines())
	}
	f.on("POST /containers/create", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Brig-Created", "{") })
	if r := f.brig("", "run", "alpine"); r.code != 125 || !strings.Contains(r.err, "reply to POST /containers/create") {
		t.Errorf("got %+v", r)
	}
}

func TestARunThatIsRefusedIsTakenBack(t *testing.T) {
	f := newFake(t)
	f.json("POST /containers/create", 201, `{"Id":"0123456789abcdef","Warnings":[]}`)
	f.json("POST /containers/0123456789abcdef/attach", 400, `{"message":"exec: \"x\": executable file not found in $PATH"}`)
	f.on("DELETE /containers/0123456789abcdef", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	r := f.brig("", "run", "alpine", "x")
	if r.code != 127 || f.last("DELETE ") == nil || f.last("POST /containers/0123456789abcdef/attach").Header.Get("Brig-Run") != "next-exit" {
		t.Errorf("got %+v after %q", r, f.lines())
	}
}

func TestDetachedRunPrintsTheID(t *testing.T) {
	f := newFake(t)
	f.program(nil)
	r := f.brig("", "run", "-d", "-i", "alpine")
	if r.code != 0 || r.out != "0123456789abcdef\n" || len(f.lines()) != 2 {
		t.Errorf("got %+v after %q", r, f.lines())
	}
	body := f.last("POST /containers/create").Body
	if strings.Contains(body, `"Attach`) || !strings.Contains(body, `"OpenStdin":true`) {
		t.Errorf("body %s", body)
	}
}

func TestCIDFileIsNeverShared(t *testing.T) {
	f := newFake(t)
	f.program(nil)
	path := filepath.Join(t.TempDir(), "cid")
	if r := f.brig("", "run", "-d", "--cidfile", path, "alpine"); r.code != 0 {
		t.Fatalf("got %+v", r)
	}
	if id, _ := os.ReadFile(path); string(id) != "0123456789abcdef" {
		t.Errorf("cidfile holds %q", id)
	}
	r := f.brig("", "create", "--cidfile", path, "alpine")
	if r.code != 125 || !strings.Contains(r.err, "the file exists") {
		t.Errorf("second use: %+v", r)
	}
	f.json("POST /containers/create", 409, `{"message":"the name is taken"}`)
	other := path + "2"
	f.brig("", "create", "--cidfile", other, "alpine")
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("a refused container left %s behind", other)
	}
}

func TestALostEngineIsNotSuccess(t *testing.T) {
	f := newFake(t)
	f.program(func(io.ReadWriter) int { return 0 })
	f.on("POST /containers/0123456789abcdef/wait", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	if r := f.brig("", "run", "alpine"); r.code != 125 || !strings.Contains(r.err, "lost the engine") {
		t.Errorf("got %+v", r)
	}
}

// TestOutputThatCannotBeWritten: the program would block for ever, and the command with it.
func TestOutputThatCannotBeWritten(t *testing.T) {
	f := newFake(t)
	release := make(chan struct{})
	f.program(func(s io.ReadWriter) int {
		io.WriteString(s, frame(1, "x"))
		<-release
		return 0
	})
	defer close(release)
	a := testApp(f.host)
	var errs strings.Builder
	a.Out, a.Err = full{}, &errs
	code := a.Run(t.Context(), []string{"run", "alpine"})
	if code != 125 || !strings.Contains(errs.String(), "disk full") {
		t.Errorf("status %d: %s", code, errs.String())
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestExec(t *testing.T) {
	f := newFake(t)
	f.json("POST /containers/web/exec", 201, `{"Id":"e1"}`)
	f.on("POST /exec/e1/start", func(w http.ResponseWriter, r *http.Request) {
		s, done := f.hijack(w)
		defer done()
		io.WriteString(s, frame(2, "oops\n"))
	})
	f.json("GET /exec/e1/json", 200, `{"ID":"e1","Running":false,"ExitCode":7}`)
	r := f.brig("", "exec", "-e", "A=b", "-w", "/tmp", "-u", "5", "web", "sh", "-c", "exit 7")
	if r.code != 7 || r.err != "oops\n" {
		t.Errorf("got %+v", r)
	}
	golden(t, "exec.json", f.last("POST /containers/web/exec").Body+"\n")
	f.json("POST /exec/e1/start", 400, `{"message":"exec: \"x\": executable file not found in $PATH"}`)
	if r := f.brig("", "exec", "web", "x"); r.code != 127 {
		t.Errorf("missing program: %+v", r)
	}
}

// TestExecByOneRequest: an engine that knows RunHeader is asked once.
func TestExecByOneRequest(t *testing.T) {
	for frames, want := range map[string]result{
		frame(1, "out") + frame(2, "err") + frame(4, `{"StatusCode":3}`): {out: "out", err: "err", code: 3},
		frame(4, `{"StatusCode":0}`):                                     {},
		frame(2, "not found\r\n") + frame(4, `{"StatusCode":127}`):       {err: "not found\r\n", code: 127},
		frame(1, "out"): {out: "out", code: 1,
			err: "brig: lost the engine while the container was running: unexpected end of JSON input\n"},
	} {
		f := newFake(t)
		f.on("POST /containers/web/exec", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Brig-Run") != "exec" {
				t.Errorf("asked with %q", r.Header)
			}
			s, done := f.hijack(w, `Brig-Created: {"Id":"e1"}`, "Brig-Run: started")
			defer done()
			io.WriteString(s, frames)
		})
		if got := f.brig("", "exec", "web", "true"); got != want || len(f.lines()) != 1 {
			t.Errorf("%q: got %+v after %q; want %+v", frames, got, f.lines(), want)
		}
	}
	f := newFake(t)
	f.json("POST /containers/web/exec", 409, `{"message":"it is not running"}`)
	if r := f.brig("", "exec", "web", "true"); r.code != 1 || !strings.Contains(r.err, "it is not running") {
		t.Errorf("refused: %+v", r)
	}
}

// TestContainersEndSideBySide: each answer comes when all have been asked for, and is printed in the order of the names.
func TestContainersEndSideBySide(t *testing.T) {
	for _, line := range []string{"stop", "restart", "kill", "pause", "unpause", "rm"} {
		f := newFake(t)
		var asked sync.WaitGroup
		asked.Add(3)
		for name, status := range map[string]int{"one": 204, "two": 409, "three": 204} {
			path := "POST /containers/" + name + "/" + line
			if line == "rm" {
				path = "DELETE /containers/" + name
			}
			f.on(path, func(w http.ResponseWriter, _ *http.Request) {
				asked.Done()
				asked.Wait()
				w.WriteHeader(status)
			})
		}
		if r := f.brig("", line, "one", "two", "three"); r.code != 1 || r.out != "one\nthree\n" || !strings.Contains(r.err, "409") {
			t.Errorf("%s: %+v", line, r)
		}
	}
}
