//go:build linux

package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminalSession runs a command line on a terminal of 24 rows and 80 columns while act plays the person.
func terminalSession(t *testing.T, f *fakeEngine, args []string, act func(keyboard *os.File)) result {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("missing: pseudo terminals")
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	a := testApp(f.host)
	a.In, a.Out, a.Err = slave, slave, &errs
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() { done <- a.Run(context.Background(), args) }()
	acted := make(chan struct{})
	go func() { act(master); close(acted) }()
	defer func() { <-acted }()
	select {
	case code := <-done:
		after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil || *after != *before {
			t.Errorf("the terminal was not restored: %v, %+v is not %+v", err, after, before)
		}
		return result{code: code, err: errs.String()}
	case <-time.After(10 * time.Second):
		t.Fatal("the command did not end")
		return result{}
	}
}

// awaitRaw waits until the session has set raw mode.
func awaitRaw(t *testing.T, keyboard *os.File) {
	for range 500 {
		mode, err := unix.IoctlGetTermios(int(keyboard.Fd()), unix.TCGETS)
		if err == nil && mode.Lflag&unix.ICANON == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the terminal was not set to raw mode")
}

func TestTerminalIsRawAndSized(t *testing.T) {
	f := newFake(t)
	sizes := make(chan string, 8)
	f.on("POST /containers/0123456789abcdef/resize", func(_ http.ResponseWriter, r *http.Request) {
		sizes <- r.URL.Query().Get("h") + "x" + r.URL.Query().Get("w")
	})
	told := make(chan struct{}, 2)
	f.program(func(s io.ReadWriter) int {
		key := make([]byte, 1)
		// In raw mode ctrl-c is a byte like any other, and no line feed is needed to send it.
		if _, err := io.ReadFull(s, key); err != nil || key[0] != 3 {
			t.Errorf("the program read %v, %v", key, err)
		}
		for _, want := range []string{"24x80", "50x132"} {
			select {
			case got := <-sizes:
				if got != want {
					t.Errorf("size %s, want %s", got, want)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("size %s did not arrive", want)
			}
			told <- struct{}{}
		}
		return 5
	})
	r := terminalSession(t, f, []string{"run", "-it", "alpine"}, func(keyboard *os.File) {
		awaitRaw(t, keyboard) // before, ctrl-c would be eaten by the line discipline
		keyboard.Write([]byte{3})
		<-told
		pty.Setsize(keyboard, &pty.Winsize{Rows: 50, Cols: 132})
		syscall.Kill(os.Getpid(), syscall.SIGWINCH)
	})
	if r.code != 5 {
		t.Errorf("got %+v", r)
	}
	if body := f.last("POST /containers/create").Body; !strings.Contains(body, `"ConsoleSize":[24,80]`) {
		t.Errorf("the size at birth is missing in %s", body)
	}
}

func TestDetachKeysLeaveTheProgramRunning(t *testing.T) {
	f := newFake(t)
	f.on("POST /containers/0123456789abcdef/resize", func(http.ResponseWriter, *http.Request) {})
	got := make(chan string, 1)
	f.program(func(s io.ReadWriter) int {
		in, _ := io.ReadAll(s)
		got <- string(in)
		return 0
	})
	r := terminalSession(t, f, []string{"run", "-it", "alpine"}, func(keyboard *os.File) {
		awaitRaw(t, keyboard)
		keyboard.Write([]byte("a\x10b\x10\x10\x11never"))
	})
	if r.code != 0 || r.err != "brig: detached; the container goes on. Next: brig attach 0123456789ab\n" {
		t.Errorf("got %+v", r)
	}
	if in := <-got; in != "a\x10b\x10" {
		t.Errorf("the program read %q", in)
	}
}

func TestTerminalIsRestoredWhenTheStartFails(t *testing.T) {
	f := newFake(t)
	f.program(nil)
	f.on("POST /containers/0123456789abcdef/attach", func(w http.ResponseWriter, _ *http.Request) {
		_, done := f.hijack(w)
		done()
	})
	f.json("POST /containers/0123456789abcdef/start", 500, `{"message":"no"}`)
	r := terminalSession(t, f, []string{"run", "-it", "alpine"}, func(*os.File) {})
	if r.code != 125 || r.err != "brig: no\n" {
		t.Errorf("got %+v", r)
	}
}

func TestATerminalIsNeededForItsInput(t *testing.T) {
	f := newFake(t)
	r := f.brig("", "run", "-it", "alpine")
	if r.code != 125 || !strings.Contains(r.err, "needs a terminal") || len(f.lines()) != 0 {
		t.Errorf("got %+v after %q", r, f.lines())
	}
}

func TestDetachFromExec(t *testing.T) {
	f := newFake(t)
	f.json("POST /containers/web/exec", 201, `{"Id":"e1"}`)
	f.on("POST /exec/e1/resize", func(http.ResponseWriter, *http.Request) {})
	f.on("POST /exec/e1/start", func(w http.ResponseWriter, _ *http.Request) {
		s, done := f.hijack(w)
		defer done()
		io.ReadAll(s)
	})
	r := terminalSession(t, f, []string{"exec", "-it", "--detach-keys", "ctrl-a", "web", "sh"}, func(keyboard *os.File) {
		awaitRaw(t, keyboard)
		keyboard.Write([]byte{1})
	})
	if r.code != 0 || !strings.Contains(r.err, "detached") {
		t.Errorf("got %+v", r)
	}
}

func TestSignalsReachTheProgram(t *testing.T) {
	f := newFake(t)
	killed := make(chan string, 1)
	f.on("POST /containers/0123456789abcdef/kill", func(w http.ResponseWriter, r *http.Request) {
		killed <- r.URL.Query().Get("signal")
		w.WriteHeader(204)
	})
	f.program(func(io.ReadWriter) int {
		time.Sleep(20 * settling)
		for _, sig := range []struct {
			number syscall.Signal
			name   string
		}{{syscall.SIGTERM, "SIGTERM"}, {syscall.SIGUSR1, "SIGUSR1"}} {
			if err := syscall.Kill(os.Getpid(), sig.number); err != nil {
				t.Error(err)
			}
			select {
			case s := <-killed:
				if s != sig.name {
					t.Errorf("the program got %s instead of %s", s, sig.name)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("%s did not arrive", sig.name)
			}
		}
		return 138
	})
	if r := f.brig("", "run", "alpine"); r.code != 138 {
		t.Errorf("got %+v", r)
	}
}
