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

// realFilters are the ones of a container that asked for nothing, and more on top.
func realFilters(t testing.TB, more ...wire.Filter) (filters []plan.Filter) {
	t.Helper()
	arch := wire.FilterArch(runtime.GOARCH)
	for _, f := range append([]wire.Filter{seccomp.Floor(arch, seccomp.Relax{}), seccomp.Default(arch)}, more...) {
		code, err := seccomp.Compile(&f)
		must(t, err)
		filters = append(filters, plan.Filter{Name: "real", Code: code})
	}
	return filters
}

// The engine's own filters let the last steps of both orders pass (T16), for root and for a user with an ambient
// capability, and are in force afterwards.
func TestRealFiltersAllowTheLastSteps(t *testing.T) {
	filters := realFilters(t)
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
