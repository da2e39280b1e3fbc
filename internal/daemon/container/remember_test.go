package container

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
)

// What a caller prepares and never starts makes room; what runs does not, and is bounded as well.
func TestExecsAreRememberedInBounds(t *testing.T) {
	e := &Engine{execs: map[string]*Exec{}}
	c := &Container{id: strings.Repeat("c", 64), rec: Record{State: Running}}
	add := func(n int, p phase) error {
		x := &Exec{id: newID(), c: c, phase: p, request: container.ExecCreateRequest{Cmd: []string{"x", strings.Repeat("y", n)}}}
		return e.remember(c, x)
	}
	for range 100 {
		if err := add(1<<20, execNew); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.execs); n != maxExecBytes>>20-1 || len(e.execs) != n {
		t.Errorf("%d of the large ones are remembered, %d by their ids", n, len(e.execs))
	}
	for range 2 * maxExecs {
		if err := add(1, execEnded); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.execs) != maxExecs || len(e.execs) != maxExecs {
		t.Errorf("%d are remembered, %d by their ids", len(c.execs), len(e.execs))
	}
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = add(1<<20, execRunning)
	}
	if !errdefs.IsResourceExhausted(err) || n != maxExecBytes>>20 {
		t.Errorf("after %d large ones that run: %v", n, err)
	}
}
