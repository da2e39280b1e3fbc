package plan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/warden/plan"
)

// realFilters are the ones of a container that asked for nothing, and more on top.
func realFilters(t testing.TB, more ...plan.Filter) (filters []plan.Filter) {
	t.Helper()
	for _, name := range []string{"floor", "default"} {
		program, err := code.Read(name)
		must(t, err)
		filters = append(filters, plan.Filter{Name: name, Code: program})
	}
	return append(filters, more...)
}

// answering is a filter that gives an answer in place of the kernel to some calls; 0 says that they were made.
func answering(t testing.TB, answer unix.Errno, calls ...uint32) plan.Filter {
	t.Helper()
	prog := []bpf.Instruction{bpf.LoadAbsolute{Off: 0, Size: 4}}
	for i, nr := range calls {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: nr, SkipTrue: uint8(len(calls) - i)})
	}
	return assemble(t, append(prog, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(answer)})...)
}

// The engine's own filters let the last steps of both orders pass (T16), for root and for a user, and are in force afterwards.
func TestRealFiltersAllowTheLastSteps(t *testing.T) {
	filters := realFilters(t)
	for _, uid := range []uint32{0, 1000} {
		for _, privileges := range []bool{false, true} {
			s := spec("sh", "-c", "grep Seccomp_filters /proc/self/status; mount -t tmpfs x /tmp 2>&1; mknod /tmp/x c 1 3 2>&1")
			s.Process.User.UID, s.Process.AllowNewPrivileges = uid, privileges
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

// Filters come from brigd, and one can say of a call that it was made. So what protects is done before the first of them,
// and they are loaded in the order that was given.
func TestNothingThatProtectsComesBehindTheFilters(t *testing.T) {
	process := spec("sh").Process
	births := map[string]func() (*plan.Plan, error){
		"run": func() (*plan.Plan, error) { return plan.Birth(plan.Input{Spec: spec("sh"), Host: goldenHost()}) },
		"run with new privileges": func() (*plan.Plan, error) {
			s := spec("sh")
			s.Process.AllowNewPrivileges = true
			return plan.Birth(plan.Input{Spec: s, Host: goldenHost()})
		},
		"exec": func() (*plan.Plan, error) { return plan.Join(&process, new(goldenHost())) },
	}
	for name, birth := range births {
		p, err := birth()
		must(t, err)
		first := slices.IndexFunc(p.Ops, func(o *plan.Op) bool { return o.Nr == unix.SYS_SECCOMP })
		if first < 0 || p.Ops[first].What != "load the floor filter" || p.Ops[first+1].What != "load the default filter" {
			t.Fatalf("%s: the filters are not there, or in another order", name)
		}
		for _, op := range p.Ops[first:] {
			last := []uintptr{unix.SYS_SECCOMP, unix.SYS_CAPSET, unix.SYS_EXECVE, unix.SYS_EXECVEAT}
			if op.What != "" && !slices.Contains(last, op.Nr) {
				t.Errorf("%s: behind the filters: %d (%s)", name, op.Nr, op.What)
			}
		}
	}
}

// What a lie about capset leaves undone execve does: it computes the capabilities anew from the bounding set.
func TestFilterThatLiesGainsNothing(t *testing.T) {
	liar := answering(t, 0, unix.SYS_CAPSET, unix.SYS_PRCTL, unix.SYS_SECCOMP)
	root := image(t)
	for _, uid := range []uint32{0, 1000} {
		var outputs []string
		for _, filters := range [][]plan.Filter{realFilters(t), realFilters(t, liar)} {
			s := spec("grep", "-E", "Cap(Inh|Prm|Eff|Bnd|Amb)", "/proc/self/status")
			s.Process.User.UID, s.Process.AllowNewPrivileges = uid, true
			c := &s.Process.Capabilities
			c.Bounding, c.Permitted = 1<<unix.CAP_NET_BIND_SERVICE, 0
			b := prepare(t, root, s)
			b.in.Filters = filters
			out, _, err := b.run(t)
			must(t, err)
			outputs = append(outputs, out)
		}
		if outputs[0] != outputs[1] || !strings.Contains(outputs[1], "CapBnd:\t0000000000000400\n") {
			t.Errorf("uid %d: with the default filter\n%s\nwith one that lies\n%s", uid, outputs[0], outputs[1])
		}
	}
}

// A program that is none ends the birth with the step's name and the kernel's word.
func TestFilterThatIsNoProgramIsNamed(t *testing.T) {
	b := prepare(t, image(t), spec("true"))
	b.in.Filters = realFilters(t, plan.Filter{Name: "profile's", Code: []byte("no program here.")})
	_, _, err := b.run(t)
	var step *plan.StepError
	if !errors.As(err, &step) || step.Op.Nr != unix.SYS_SECCOMP || step.Errno != unix.EINVAL ||
		!strings.Contains(err.Error(), "load the profile's filter: invalid argument") {
		t.Errorf("%v", err)
	}
}
