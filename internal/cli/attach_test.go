package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// existing lays down a container that was made before, beside what program lays down.
func (f *fakeEngine) existing(running, openStdin bool) {
	const text = `{"Id":"0123456789abcdef","State":{"Running":%v},"Config":{"OpenStdin":%v},
		"HostConfig":{"AutoRemove":true}}`
	f.json("GET /containers/web/json", 200, fmt.Sprintf(text, running, openStdin))
}

func TestStartAttached(t *testing.T) {
	f := newFake(t)
	f.existing(false, true)
	f.program(func(s io.ReadWriter) int {
		in, _ := io.ReadAll(s)
		io.WriteString(s, frame(1, string(in)))
		return 4
	})
	if r := f.brig("x", "start", "-ai", "web"); r.code != 4 || r.out != "x" {
		t.Errorf("got %+v", r)
	}
	if got := f.last("POST /containers/0123456789abcdef/wait").Line; !strings.HasSuffix(got, "?condition=removed") {
		t.Errorf("waited with %s", got)
	}
	if r := f.brig("", "start", "-a", "web", "db"); r.code != 1 || !strings.Contains(r.err, "one container") {
		t.Errorf("two at once: %+v", r)
	}
}

func TestStartInTheBackground(t *testing.T) {
	f := newFake(t)
	f.json("POST /containers/web/start", 204, "")
	f.json("POST /containers/db/start", 400, `{"message":"exec: \"x\": executable file not found in $PATH"}`)
	if r := f.brig("", "start", "web", "db"); r.code != 1 || r.out != "web\n" ||
		r.err != "brig: exec: \"x\": executable file not found in $PATH\n" {
		t.Errorf("got %+v", r)
	}
}

func TestAttach(t *testing.T) {
	f := newFake(t)
	f.existing(true, false)
	f.on("POST /containers/0123456789abcdef/attach", func(w http.ResponseWriter, _ *http.Request) {
		s, done := f.hijack(w)
		defer done()
		io.WriteString(s, frame(1, "hello\n"))
	})
	f.json("POST /containers/0123456789abcdef/wait", 200, `{"StatusCode":9}`)
	if r := f.brig("ignored", "attach", "web"); r.code != 9 || r.out != "hello\n" {
		t.Errorf("got %+v", r)
	}
	if got := f.last("POST /containers/0123456789abcdef/attach").Line; strings.Contains(got, "stdin") {
		t.Errorf("input was attached to a program that has none: %s", got)
	}
	f.existing(false, false)
	if r := f.brig("", "attach", "web"); r.code != 1 || !strings.Contains(r.err, "brig start -a web") {
		t.Errorf("not running: %+v", r)
	}
}

func TestLogsOfATerminalAreRaw(t *testing.T) {
	f := newFake(t)
	f.on("GET /containers/web/logs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.docker.raw-stream")
		io.WriteString(w, "\x1b[31mred\r\n")
	})
	if r := f.brig("", "logs", "-f", "web"); r.code != 0 || r.out != "\x1b[31mred\r\n" {
		t.Errorf("got %+v", r)
	}
}

// TestOutputThatNobodyReads: a pipe that was closed ends the command, and not with success.
func TestOutputThatNobodyReads(t *testing.T) {
	f := newFake(t)
	f.on("GET /containers/web/logs", func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			io.WriteString(w, frame(1, strings.Repeat("x", 1000)))
		}
	})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	a := testApp(f.host)
	a.Out = w
	if code := a.Run(context.Background(), []string{"logs", "web"}); code != 1 {
		t.Errorf("status %d", code)
	}
}

func TestCompletionStartsNoEngine(t *testing.T) {
	f := newFake(t)
	layReplies(f)
	if r := f.brig("", "__complete", "stop", ""); !strings.HasPrefix(r.out, "web\n") {
		t.Errorf("got %+v", r)
	}
	if r := f.brig("", "__complete", "run", ""); !strings.HasPrefix(r.out, "alpine:3.20\n") {
		t.Errorf("got %+v", r)
	}
}

// TestAnExecThatAKilledEngineForgotIsMadeAgain, once: the next engine has never heard of it, so nothing has run.
func TestAnExecThatAKilledEngineForgotIsMadeAgain(t *testing.T) {
	f := newFake(t)
	made, known := 0, 2
	f.on("POST /containers/db/exec", func(w http.ResponseWriter, _ *http.Request) {
		made++
		w.WriteHeader(201)
		fmt.Fprintf(w, `{"Id":"e%d"}`, made)
	})
	start := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if n != known {
				w.WriteHeader(404)
				fmt.Fprintf(w, `{"message":"No such exec instance: e%d"}`, n)
			}
		}
	}
	for n := 1; n <= 3; n++ {
		f.on(fmt.Sprintf("POST /exec/e%d/start", n), start(n))
	}
	if r := f.brig("", "exec", "-d", "db", "true"); r.code != 0 || made != 2 {
		t.Errorf("got %+v, made %d", r, made)
	}
	made, known = 0, 3
	if r := f.brig("", "exec", "-d", "db", "true"); r.code != 1 || made != 2 || !strings.Contains(r.err, "e2") {
		t.Errorf("a second time: %+v, made %d", r, made)
	}
}
