package log

import (
	"context"
	"strings"
	"testing"
	"time"
)

// BenchmarkAppend is the way of a container's output to its log: chunks as a pump takes them.
func BenchmarkAppend(b *testing.B) {
	for name, chunk := range map[string]string{
		"one line": strings.Repeat("x", 99) + "\n", "64 KiB": strings.Repeat(strings.Repeat("x", 99)+"\n", 650)} {
		b.Run(name, func(b *testing.B) {
			l := newLog(b, 10<<20, 3)
			at := time.Now()
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Append(Stdout, at, []byte(chunk)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead reads a whole log, and its last ten lines.
func BenchmarkRead(b *testing.B) {
	l := newLog(b, 10<<20, 3)
	chunk := strings.Repeat(strings.Repeat("x", 99)+"\n", 650)
	for range 100 {
		if err := l.Append(Stdout, time.Now(), []byte(chunk)); err != nil {
			b.Fatal(err)
		}
	}
	for name, tail := range map[string]int{"all": -1, "tail": 10} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(100 * len(chunk)))
			for b.Loop() {
				if err := l.Read(context.Background(), both(tail), func(Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
