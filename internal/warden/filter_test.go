package warden

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/wire"
)

// The floor is below every filter, loaded before it, and gives way to no other capability than the two that it knows.
func TestFloorComesFirst(t *testing.T) {
	w := &Warden{}
	f := &w.filters
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	given := wire.Filter{Program: make([]byte, 8), Log: true}
	if _, err := w.filterPut(given); err != nil {
		t.Fatal(err)
	}
	packet, admin := uint64(1<<unix.CAP_NET_RAW), uint64(1<<unix.CAP_NET_ADMIN)
	for permitted, name := range map[uint64]string{0: "floor", ordinary: "floor", ^(packet | admin): "floor", packet: "floor-raw",
		admin: "floor-admin", ^uint64(0): "floor-raw-admin"} {
		floor, err := code.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for filter, more := range map[string]int{unconfined: 0, "": 1, given.Digest(): 1} {
			list, err := f.programs(&wire.Process{Filter: filter, Capabilities: wire.Capabilities{Permitted: permitted}})
			if err != nil || len(list) != 1+more || !bytes.Equal(list[0].Code, floor) || list[0].Flags != 0 {
				t.Errorf("%#x, %q: %d filters, %v", permitted, filter, len(list), err)
				continue
			}
			if filter == given.Digest() && (!bytes.Equal(list[1].Code, given.Program) || list[1].Flags != unix.SECCOMP_FILTER_FLAG_LOG) {
				t.Errorf("the given filter is loaded as %+v", list[1])
			}
		}
	}
	if _, err := f.programs(&wire.Process{Filter: "sha256:0"}); !errdefs.IsNotFound(err) {
		t.Errorf("a filter that nobody has given: %v", err)
	}
}

// brigd can hand over as many as it likes: a few are kept, and none of the built-in ones is lost.
func TestFiltersAreBounded(t *testing.T) {
	w := &Warden{}
	f := &w.filters
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxFilters {
		if _, err := w.filterPut(wire.Filter{Program: fmt.Appendf(nil, "%08d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.given) != maxFilters {
		t.Errorf("%d are kept", len(f.given))
	}
	if list, err := f.programs(&wire.Process{}); err != nil || len(list) != 2 || len(list[1].Code) == 0 {
		t.Errorf("%v, %v", list, err)
	}
}
