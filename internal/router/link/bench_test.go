package link

import (
	"testing"

	"golang.org/x/sys/unix"
)

// One endpoint of the pool: the namespace is made and dropped outside the clock. Goal: 1.2 ms.
func BenchmarkNewEndpoint(b *testing.B) {
	w := newNetwork(b)
	for b.Loop() {
		b.StopTimer()
		ns, err := newNetns()
		must(b, err)
		b.StartTimer()
		e, err := newEndpoint(w.r, ns)
		must(b, err)
		b.StopTimer()
		must(b, w.r.Release(e))
		unix.Close(ns)
		b.StartTimer()
	}
}

// The hot path of a container's start: 30 to 60 µs of nftables without ports.
func BenchmarkActivateRelease(b *testing.B) {
	for _, bc := range []struct {
		name  string
		ports []Port
	}{{"plain", nil}, {"port", []Port{tcp("0.0.0.0", 8080, 80)}}} {
		b.Run(bc.name, func(b *testing.B) {
			w := newNetwork(b)
			ns := netnsFor(b)
			e, err := newEndpoint(w.r, ns)
			must(b, err)
			for b.Loop() {
				must(b, w.r.Activate(e, bc.ports))
				must(b, w.r.Release(e))
			}
		})
	}
}
