package container

import (
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkPump is output on its way through the spool to the log.
func BenchmarkPump(b *testing.B) {
	r, w := fifo(b)
	p := &pump{stream: 1, f: r, log: testLog(b), spool: filepath.Join(b.TempDir(), "spool"), hub: newHub(),
		warn: func(err error) { b.Error(err) }}
	done := make(chan struct{})
	go func() { defer close(done); p.run() }()
	chunk := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 600))
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := w.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	p.finish()
	<-done
}
