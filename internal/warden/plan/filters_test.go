package plan_test

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/warden/seccomp"
	"github.com/brig-engine/brig/internal/wire"
)

// The engine's own filters let the last steps of both orders pass (T16), for root and for a user with an ambient
// capability, and are in force afterwards.
func TestRealFiltersAllowTheLastSteps(t *testing.T) {
	arch := wire.FilterArch(runtime.GOARCH)
	floor, byDefault := seccomp.Floor(arch, seccomp.Relax{}), seccomp.Default(arch)
	var filters []plan.Filter
	for name, f := range map[string]*wire.Filter{"floor": &floor, "default": &byDefault} {
		code, err := seccomp.Compile(f)
		must(t, err)
		filters = append(filters, plan.Filter{Name: name, Code: code})
	}
	for _, uid := range []uint32{0, 1000} {
		for _, privileges := range []bool{false, true} {
			s := spec("sh", "-c", "grep Seccomp_filters /proc/self/status; mount -t tmpfs x /tmp 2>&1; mknod /tmp/x c 1 3 2>&1")
			s.Process.User.UID, s.Process.AllowNewPrivileges = uid, privileges
			s.Process.Capabilities.Inheritable = 1 << unix.CAP_NET_BIND_SERVICE
			s.Process.Capabilities.Ambient = 1 << unix.CAP_NET_BIND_SERVICE
			b := prepare(t, image(t), s)
			b.in.Filters = filters
			out, _, err := b.run(t)
			must(t, err)
			if !strings.Contains(out, "Seccomp_filters:\t2") || strings.Count(out, "ermission denied") != 2 {
				t.Errorf("uid %d, privileges %v:\n%s", uid, privileges, out)
			}
		}
	}
}
