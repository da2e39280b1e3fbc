package container

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/log"
)

func TestDetachKeysEndTheInputAndNothingElseIsLost(t *testing.T) {
	for _, c := range []struct {
		in, keys, out string
		found         bool
	}{
		{"hello", "\x10\x11", "hello", false},
		{"a\x10\x11b", "\x10\x11", "a", true},
		{"a\x10b\x10\x10\x11", "\x10\x11", "a\x10b\x10", true},
		{"aabaabaac", "aabaac", "aab", true},
		{"aab", "aabaac", "", false}, // the rest could still come
		{"x", "x", "", true},
		{"xyz", "", "xyz", false},
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(c.in),
			"by bytes": iotest.OneByteReader(strings.NewReader(c.in))} {
			d := &detachReader{r: r, keys: []byte(c.keys)}
			got, err := io.ReadAll(d)
			if err != nil || string(got) != c.out || d.found != c.found {
				t.Errorf("%q with keys %q %s: %q, %v, %v; want %q, %v", c.in, c.keys, name, got, d.found, err, c.out, c.found)
			}
		}
	}
}

func FuzzDetach(f *testing.F) {
	f.Add([]byte("aabaabaac"), []byte("aabaac"))
	f.Fuzz(func(t *testing.T, in, keys []byte) {
		d := &detachReader{r: iotest.OneByteReader(bytes.NewReader(in)), keys: keys}
		got, err := io.ReadAll(d)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(in, keys)
		switch {
		case len(keys) == 0 && !bytes.Equal(got, in), len(keys) > 0 && i >= 0 != d.found:
			t.Fatalf("%q with keys %q: %q, %v", in, keys, got, d.found)
		case len(keys) > 0 && i >= 0 && !bytes.Equal(got, in[:i]):
			t.Fatalf("%q with keys %q: %q", in, keys, got)
		case !bytes.HasPrefix(in, got):
			t.Fatalf("%q became %q", in, got)
		}
	})
}

// fifo gives both ends of a pipe of the file system.
func fifo(t testing.TB) (r *os.File, w *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if w, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return os.NewFile(uintptr(fd), "fifo"), w
}

func readLog(t *testing.T, l *log.Log) string {
	t.Helper()
	var b strings.Builder
	err := l.Read(context.Background(), log.Query{Stdout: true, Stderr: true, Tail: -1}, func(r log.Record) error {
		b.Write(r.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func testLog(t testing.TB) *log.Log {
	return log.New(filepath.Join(t.TempDir(), "log"), log.Options{Driver: log.DriverJSON, MaxSize: 1 << 20, MaxFiles: 2}, log.Source{})
}

// TestAKillBetweenAnyTwoStepsLeavesNoGap stops after each step of a spool, as a kill would, and goes on with a new
// pump.
func TestAKillBetweenAnyTwoStepsLeavesNoGap(t *testing.T) {
	for _, step := range []string{"nothing", "moved", "logged", "counted"} {
		t.Run(step, func(t *testing.T) {
			r, w := fifo(t)
			l, path := testLog(t), filepath.Join(t.TempDir(), "spool")
			if _, err := w.WriteString("one\ntwo\nthr"); err != nil {
				t.Fatal(err)
			}
			p := &pump{stream: 1, log: l, spool: path, hub: newHub(), warn: func(err error) { t.Error(err) }}
			stopAfter(t, p, r, step)
			if _, err := w.WriteString("ee\nend"); err != nil {
				t.Fatal(err)
			}
			p = &pump{stream: 1, f: r, log: l, spool: path, hub: newHub(), warn: func(err error) { t.Error(err) }}
			p.finish()
			p.run()
			want := "one\ntwo\nthree\nend"
			got := readLog(t, l)
			if step == "logged" {
				want = "one\ntwo\n" + want // lines may come twice here, and only here
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the spool is still there: %v", err)
			}
		})
	}
}

// A stream that ends without a byte costs no file, and one that had some ends as well.
func TestASpoolIsMadeByTheFirstByte(t *testing.T) {
	r, w := fifo(t)
	// A directory that is not there: an attempt to make a spool would be warned of.
	path := filepath.Join(t.TempDir(), "missing", "spool")
	l := testLog(t)
	p := &pump{stream: 1, f: r, log: l, spool: path, hub: newHub(), warn: func(err error) { t.Error(err) }}
	if rc, err := r.SyscallConn(); err != nil {
		t.Fatal(err)
	} else if end, err := p.take(rc); end || err != nil {
		t.Errorf("with a writer: end %v, %v", end, err)
	}
	w.Close()
	p.run()
	if got := readLog(t, l); got != "" {
		t.Errorf("logged %q", got)
	}

	r, w = fifo(t)
	p = &pump{stream: 1, f: r, log: l, spool: filepath.Join(t.TempDir(), "spool"), hub: newHub(), warn: p.warn}
	done := make(chan struct{})
	go func() { defer close(done); p.run() }()
	for _, part := range []string{"one\ntw", "o\nthree"} {
		if _, err := w.WriteString(part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Close()
	<-done // it ends by itself
	if got := readLog(t, l); got != "one\ntwo\nthree" {
		t.Errorf("logged %q", got)
	}
}

func stopAfter(t *testing.T, p *pump, r *os.File, step string) {
	if step == "nothing" {
		return
	}
	s, err := openSpool(p.spool)
	if err != nil {
		t.Fatal(err)
	}
	defer s.f.Close()
	rc, err := r.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var ferr error
	if err := errors.Join(rc.Control(func(fd uintptr) { _, ferr = s.fill(int(fd)) }), ferr); err != nil {
		t.Fatal(err)
	}
	if step == "moved" {
		return
	}
	b, err := s.rest(make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	p.append(b[:loggable(b)])
	if step == "counted" {
		if err := s.done(loggable(b)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLongLinesAndLargeOutputPassUnchanged(t *testing.T) {
	for _, spooled := range []bool{true, false} {
		r, w := fifo(t)
		l, h := testLog(t), newHub()
		p := &pump{stream: 1, f: r, log: l, hub: h, warn: func(err error) { t.Error(err) }}
		if spooled {
			p.spool = filepath.Join(t.TempDir(), "spool")
		}
		client := h.subscribe(true, true)
		done := make(chan struct{})
		go func() { p.run(); close(done); h.close() }()
		want := strings.Repeat("löng ", 40000) + "\n" + strings.Repeat("short\n", 1000)
		if _, err := io.WriteString(w, want); err != nil {
			t.Fatal(err)
		}
		p.finish()
		var seen strings.Builder
		for {
			c, err, more := client.next()
			if !more {
				if err != nil {
					t.Error(err)
				}
				break
			}
			seen.Write(c.data)
		}
		<-done
		if got := readLog(t, l); got != want || seen.String() != want {
			t.Errorf("spooled %v: log %d bytes, client %d, want %d", spooled, len(got), seen.Len(), len(want))
		}
	}
}

func TestOneSlowClientIsDroppedWhenAnotherWaits(t *testing.T) {
	h := newHub()
	slow, fast := h.subscribe(true, true), h.subscribe(true, true)
	go func() {
		for range 64 {
			h.publish(1, make([]byte, 64<<10))
		}
		h.close()
	}()
	n := 0
	for {
		c, _, more := fast.next()
		if !more {
			break
		}
		n += len(c.data)
	}
	if n != 64*64<<10 {
		t.Errorf("the fast client got %d bytes", n)
	}
	for {
		if _, err, more := slow.next(); !more {
			if !errors.Is(err, errSlow) {
				t.Errorf("the slow client ended with %v", err)
			}
			return
		}
	}
}

func TestASingleClientLosesNothing(t *testing.T) {
	h := newHub()
	only := h.subscribe(true, true)
	go func() {
		for range 64 {
			h.publish(1, make([]byte, 64<<10))
		}
		h.close()
	}()
	time.Sleep(2 * slowGrace)
	n := 0
	for {
		c, err, more := only.next()
		if !more {
			if err != nil {
				t.Error(err)
			}
			break
		}
		n += len(c.data)
	}
	if n != 64*64<<10 {
		t.Errorf("%d bytes of %d came", n, 64*64<<10)
	}
}

func TestAnEndedProcessWaitsForNoClient(t *testing.T) {
	h := newHub()
	h.subscribe(true, true)
	done := make(chan struct{})
	go func() {
		for range 64 {
			h.publish(1, make([]byte, 64<<10))
		}
		close(done)
	}()
	time.Sleep(20 * time.Millisecond)
	h.end()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("it waits")
	}
}

func TestNamesAreValidAndFrames(t *testing.T) {
	for try := range 20 {
		if err := checkName(newName(try)); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "a", "-a", "a/b", "a b", strings.Repeat("x", 256)} {
		if checkName(bad) == nil {
			t.Errorf("%q is a name", bad)
		}
	}
	var b bytes.Buffer
	if err := WriteFrame(&b, true, 2, []byte("abc")); err != nil || b.String() != "\x02\x00\x00\x00\x00\x00\x00\x03abc" {
		t.Errorf("frame %q, %v", b.String(), err)
	}
}
