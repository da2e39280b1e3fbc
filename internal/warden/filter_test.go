package warden

import (
	"bytes"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/wire"
)

// The floor is below every filter, loaded before it, and gives way to no other capability than the two that it knows.
func TestFloorComesFirst(t *testing.T) {
	w := &Warden{}
	if err := w.openFilters(); err != nil {
		t.Fatal(err)
	}
	given := &wire.Filter{Program: make([]byte, 8), Flags: unix.SECCOMP_FILTER_FLAG_LOG}
	narrower := &wire.Filter{Program: make([]byte, 16), Narrows: true, Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Listener: "/run/l.sock"}
	packet, admin := uint64(1<<unix.CAP_NET_RAW), uint64(1<<unix.CAP_NET_ADMIN)
	for permitted, name := range map[uint64]string{0: "floor", wire.OrdinaryCaps: "floor", ^(packet | admin): "floor", packet: "floor-raw",
		admin: "floor-admin", ^uint64(0): "floor-raw-admin"} {
		floor, err := code.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for filter, more := range map[*wire.Filter]int{{}: 0, nil: 1, given: 1, narrower: 2, {Narrows: true}: 1} {
			list := w.filters.programs(&wire.Process{Filter: filter, Capabilities: wire.Capabilities{Permitted: permitted}})
			if len(list) != 1+more || !bytes.Equal(list[0].Code, floor) || list[0].Flags != 0 {
				t.Errorf("%#x, %+v: %d filters", permitted, filter, len(list))
				continue
			}
			if (filter == nil || filter.Narrows) && !bytes.Equal(list[1].Code, w.filters["default"]) {
				t.Error("the default is another one")
			}
			if filter == given && (!bytes.Equal(list[1].Code, given.Program) || list[1].Flags != unix.SECCOMP_FILTER_FLAG_LOG) {
				t.Errorf("the given filter is loaded as %+v", list[1])
			}
			if filter == narrower && (!bytes.Equal(list[2].Code, narrower.Program) || list[2].Flags != unix.SECCOMP_FILTER_FLAG_NEW_LISTENER) {
				t.Errorf("the narrower filter is loaded as %+v", list[2])
			}
			list = w.filters.programs(&wire.Process{Filter: filter, ABI32: true, Capabilities: wire.Capabilities{Permitted: permitted}})
			if (runtime.GOARCH == "amd64") != (len(list[0].Code) > len(floor)) || list[0].Name != name+"-abi32's" {
				t.Errorf("for programs of 32 bits the floor is %s", list[0].Name)
			}
		}
	}
}
