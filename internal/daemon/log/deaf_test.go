package log

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Clients that follow a log and never read have its files open for ever; what was rotated away must free its disk all the
// same.
func TestAReaderThatStandsStillHoldsNoDisk(t *testing.T) {
	dir := t.TempDir()
	opt := Options{Driver: DriverJSON, MaxSize: minSize, MaxFiles: 2}
	l := New(dir, opt, Source{})
	l.Begin()
	line := []byte(strings.Repeat("x", 1000) + "\n")
	put := func(n int) {
		for range n {
			if err := l.Append(Stdout, time.Now(), line); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(100) // two files
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	reads := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			once := sync.OnceFunc(func() { reads <- struct{}{} })
			_ = l.Read(ctx, Query{Stdout: true, Stderr: true, Follow: true, Tail: -1}, func(Record) error {
				once()
				<-ctx.Done() // it never takes another line
				return ctx.Err()
			})
		})
		<-reads
	}
	put(1000)
	held, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	gone := 0
	for _, fd := range held {
		name := "/proc/self/fd/" + fd.Name()
		if to, err := os.Readlink(name); err != nil || !strings.HasPrefix(to, dir) || !strings.HasSuffix(to, "(deleted)") {
			continue
		}
		gone++
		if st, err := os.Stat(name); err == nil && st.Sys().(*syscall.Stat_t).Blocks != 0 {
			t.Errorf("a deleted file of the log holds %d bytes", st.Size())
		}
	}
	if gone < 3 {
		t.Errorf("%d deleted files are open: this test shows nothing", gone)
	}
}
