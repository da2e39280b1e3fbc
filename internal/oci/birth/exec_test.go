package birth

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
)

// When the container can see a process that enters it, that has no descriptor of the host's proc: who has CAP_SYS_PTRACE there
// could take it. The labels are written before.
func TestEntryTakesNoProcAlong(t *testing.T) {
	for _, label := range []string{"", "mine"} {
		p := goldenProcess()
		p.AppArmor, p.SELinux = label, label
		l, err := Exec(&Entry{Namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Process: p})
		if err != nil {
			t.Fatal(err)
		}
		open, written, entered := map[calls.Ref]bool{}, 0, false
		for _, op := range l.Ops {
			switch op.Nr {
			case unix.SYS_OPENAT2:
				open[op.Out] = true
			case unix.SYS_CLOSE_RANGE:
				delete(open, op.Args[0].(calls.Ref))
			case unix.SYS_WRITE:
				if op.Args[0] == calls.Ref("attr") {
					written++
				}
			case unix.SYS_SETNS:
				entered = true
				if open["hostproc"] || open["attr"] {
					t.Errorf("label %q: open when the container is entered: %v", label, open)
				}
				if want := 2 * len(label) / 4; written != want {
					t.Errorf("label %q: %d labels were written before, want %d", label, written, want)
				}
			}
			for _, a := range op.Args {
				if entered && (a == calls.Ref("hostproc") || a == calls.Ref("attr")) {
					t.Errorf("label %q: %s uses the host's proc inside", label, op.What)
				}
			}
		}
		if !entered {
			t.Error("nothing was entered")
		}
	}
}

// However many descriptors a program is given, none takes the place of one that is used afterwards.
func TestDescriptorsOverwriteNothing(t *testing.T) {
	for _, listens := range []bool{false, true} {
		in := goldenInput()
		in.Process.FDs = 5
		if listens {
			in.Process.Filters[0].Flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		}
		l, err := Create(in)
		if err != nil {
			t.Fatal(err)
		}
		moved, placed := map[calls.Ref]bool{}, false
		for _, op := range l.Ops {
			switch {
			case op.Nr == unix.SYS_FCNTL:
				moved[op.Out] = true
			case op.What == "place a descriptor":
				placed = true
			case !placed:
				continue
			}
			for _, a := range op.Args {
				if ref, ok := a.(calls.Ref); ok && placed && !moved[ref] && ref != "path" { // which is no descriptor
					t.Errorf("listener %v: %s uses %s, which may be overwritten", listens, op.What, ref)
				}
			}
		}
		if !placed {
			t.Error("no descriptor was placed")
		}
	}
}
