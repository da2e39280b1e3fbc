package plan_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestLandlockAloneStopsMounts: the program has a filter that lets everything pass and, in its own user namespace, the
// capability that mounting asks for. With nothing else in the way, the domain is what stops it; of device nodes it is the
// first to refuse, before the user namespace does.
func TestLandlockAloneStopsMounts(t *testing.T) {
	const try = `mount -t tmpfs none /tmp 2>/dev/null && echo mounted; umount /proc/sys 2>/dev/null && echo unmasked
		mknod /x c 0 0 2>&1; echo end`
	for _, c := range []struct {
		landlock bool
		want     string
	}{{true, "mknod: /x: Permission denied\nend"}, {false, "mounted\nunmasked\nmknod: /x: Operation not permitted\nend"}} {
		s := spec("sh", "-c", try)
		s.Process.Capabilities.Bounding |= 1 << unix.CAP_SYS_ADMIN
		s.Process.Capabilities.Permitted |= 1 << unix.CAP_SYS_ADMIN
		b := prepare(t, image(t), s)
		b.in.Host.Landlock = c.landlock
		out, _, err := b.run(t)
		must(t, err)
		expect(t, out, c.want)
	}
}

// TestLandlockAloneKeepsExecsOutOfProcessOne: what an execution can see of process 1 and of its own like, with Landlock and
// (SYS_PTRACE was added) without.
func TestLandlockAloneKeepsExecsOutOfProcessOne(t *testing.T) {
	const look = `readlink /proc/1/fd/1 >/dev/null && echo fds; readlink /proc/1/exe >/dev/null && echo exe; cat /proc/1/environ >/dev/null 2>&1 && echo environ
		(true >/proc/1/fd/1) 2>/dev/null && echo writes; cat /proc/1/status >/dev/null && echo status; sleep 9 & readlink /proc/$!/fd/1 >/dev/null && echo its own; kill $!
		kill -0 1 && echo signals`
	for _, c := range []struct {
		landlock bool
		want     string
	}{{true, "status\nits own\nsignals"}, {false, "fds\nexe\nenviron\nwrites\nstatus\nits own\nsignals"}} {
		_, fd := running(t)
		p := spec("sh", "-c", look).Process
		p.NoLandlock = !c.landlock
		expect(t, join(t, fd, p, nil), c.want)
	}
}
