package keeper

import (
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// TestHeldDescriptorsComeBackAfterTheWardenIsKilled: also one whose key was held before, and none that was dropped.
func TestHeldDescriptorsComeBackAfterTheWardenIsKilled(t *testing.T) {
	r := newRig(t)
	r.start()
	a, inoA := r.file("a")
	b, inoB := r.file("b")
	w := r.warden()
	if len(w.Have) != 0 {
		t.Errorf("the first warden is given %v", w.Have)
	}
	w.do("hold one "+a+" 1", "hold two "+a+" 1", "hold three "+a+" 1", "hold two "+b+" 1", "both four five",
		"drop three four five")
	w.kill() // what it sent last is in the socket still
	want := map[string]uint64{"one": inoA, "two": inoB}
	w = r.warden()
	if !maps.Equal(w.Have, want) {
		t.Errorf("the second warden is given %v, want %v", w.Have, want)
	}
	w.do("drop one")
	w.kill()
	delete(want, "one")
	if w = r.warden(); !maps.Equal(w.Have, want) {
		t.Errorf("the third warden is given %v, want %v", w.Have, want)
	}
}

// TestBrokenMessageLosesNothingElse: what was held before it, under its own key too, and after it is held still, and
// the warden that sent it lives on.
func TestBrokenMessageLosesNothingElse(t *testing.T) {
	r := newRig(t)
	r.start()
	a, ino := r.file("a")
	w := r.warden()
	w.do("hold x "+a+" 1", "unknown", "surplus", "twice x", "hold y "+a+" 1")
	if w.order("hold z %s 1", a) != "ok" {
		t.Error("the warden did not survive its broken message")
	}
	w.kill()
	want := map[string]uint64{"x": ino, "y": ino, "z": ino}
	if w = r.warden(); !maps.Equal(w.Have, want) {
		t.Errorf("the next warden is given %v, want %v", w.Have, want)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.keeper.Process.Pid))
	if err != nil || len(files) > 40 {
		t.Errorf("the keeper has %d open files, %v: the surplus leaked", len(files), err)
	}
}

// TestDeathDuringTheHandOverIsOneMoreDeath: a warden that dies before it has read what is held is followed by one that
// gets everything.
func TestDeathDuringTheHandOverIsOneMoreDeath(t *testing.T) {
	r := newRig(t)
	r.start()
	a, ino := r.file("a")
	w := r.warden()
	w.do("hold k " + a + " 600") // more than the socket holds
	if err := os.WriteFile(r.dir+"/run/plan", []byte("once"), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.kill()
	w = r.warden()
	if took := time.Since(began); took > deathWindow*9/10 {
		t.Errorf("the keeper noticed the death by its deadline only, after %v", took)
	}
	if len(w.Have) != 600 || w.Have["k599"] != ino {
		t.Errorf("the next warden is given %d descriptors, want 600", len(w.Have))
	}
	if _, err := os.Stat(r.dir + "/run/plan"); err == nil {
		t.Error("no warden died during the hand-over")
	}
}

// TestEndOfWhatADeadWardenLeftIsNoted: exit codes and signals are in RUN/exits before the process is gone.
func TestEndOfWhatADeadWardenLeftIsNoted(t *testing.T) {
	for name, c := range map[string]struct {
		last byte
		want wire.Exit
	}{
		"by code":   {7, wire.Exit{Code: 7}},
		"by signal": {0, wire.Exit{Code: 128 + 9, Signal: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start()
			w := r.warden()
			var pid int
			if _, err := fmt.Sscan(w.order("child"), &pid); err != nil {
				t.Fatal(err)
			}
			start, err := wire.StartTime(pid)
			if err != nil {
				t.Fatal(err)
			}
			w.kill()
			r.warden()
			fifo, err := os.OpenFile(r.dir+"/run/fifo", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer fifo.Close()
			before := time.Now()
			if _, err := fifo.Write([]byte{c.last}); err != nil {
				t.Fatal(err)
			}
			for unix.Kill(pid, 0) == nil { // a zombie can be signalled
				if time.Since(before) > 20*time.Second {
					t.Fatal("the process is not reaped")
				}
			}
			text, err := os.ReadFile(r.dir + "/run/exits/" + wire.NoteName(pid, start))
			if err != nil {
				t.Fatalf("the process is gone and there is no note: %v", err)
			}
			var exit wire.Exit
			if err := wire.DecodeStrict(text, &exit); err != nil {
				t.Fatal(err)
			}
			if at := time.Unix(0, exit.At); at.Before(before) || at.After(time.Now()) {
				t.Errorf("noted at %v, written to at %v", at, before)
			}
			if exit.At = 0; exit != c.want {
				t.Errorf("the note says %+v, want %+v", exit, c.want)
			}
		})
	}
}

// TestFiveDeathsInTenSecondsEndTheKeeper, with the reason on the ready descriptor.
func TestFiveDeathsInTenSecondsEndTheKeeper(t *testing.T) {
	r := newRig(t)
	if err := os.WriteFile(r.dir+"/run/plan", []byte("die"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	if got := r.said(); !strings.Contains(got, "the warden died five times in ten seconds") ||
		!strings.Contains(got, "Next: ") {
		t.Errorf("the ready descriptor says %q", got)
	}
	if code := r.end(); code != 1 {
		t.Errorf("the keeper ended with %d", code)
	}
}

// TestFourDeathsDoNotEndTheKeeper: the bound is five.
func TestFourDeathsDoNotEndTheKeeper(t *testing.T) {
	r := newRig(t)
	r.start()
	for range 4 {
		r.warden().kill()
	}
	r.warden().do("say ready")
	if got := r.said(); got != "ready" {
		t.Errorf("the ready descriptor says %q", got)
	}
}

// TestWardenThatEndsByItselfEndsTheKeeper, which removes its socket and pid file; one that was not ready is no success.
func TestWardenThatEndsByItselfEndsTheKeeper(t *testing.T) {
	r := newRig(t)
	r.start()
	w := r.warden()
	start, err := wire.StartTime(r.keeper.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d %d\n", r.keeper.Process.Pid, start)
	if b, err := os.ReadFile(r.dir + "/run/keeper.pid"); err != nil || string(b) != want {
		t.Errorf("keeper.pid is %q, %v; want %q", b, err, want)
	}
	fmt.Fprintln(w.c, "exit 0")
	if got := r.said(); !strings.HasPrefix(got, "the engine ended before it was ready.") {
		t.Errorf("the ready descriptor says %q", got)
	}
	if code := r.end(); code != 0 {
		t.Errorf("the keeper ended with %d", code)
	}
	for _, name := range []string{"brig.sock", "keeper.pid"} {
		if _, err := os.Lstat(r.dir + "/run/" + name); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

// TestSigtermReachesTheWarden, whose end with any status then ends the keeper well.
func TestSigtermReachesTheWarden(t *testing.T) {
	r := newRig(t)
	r.start()
	w := r.warden()
	w.do("say ready")
	if got := r.said(); got != "ready" {
		t.Errorf("the ready descriptor says %q", got)
	}
	unix.Kill(r.keeper.Process.Pid, unix.SIGTERM)
	if got := w.line(); got != "term" {
		t.Errorf("the warden says %q", got)
	}
	if code := r.end(); code != 0 {
		t.Errorf("the keeper ended with %d", code)
	}
}

// TestSecondKeeperIsRefused, and the first one's socket stays.
func TestSecondKeeperIsRefused(t *testing.T) {
	r := newRig(t)
	r.start()
	r.warden()
	r.start()
	want := fmt.Sprintf("an engine already runs in %s/root. Next: brig engine status --run %[1]s/run", r.dir)
	if got := r.said(); got != want {
		t.Errorf("the ready descriptor says\n%q, want\n%q", got, want)
	}
	if code := r.end(); code != 1 {
		t.Errorf("the second keeper ended with %d", code)
	}
	c, err := net.Dial("unix", r.dir+"/run/brig.sock")
	if err != nil {
		t.Fatalf("the first engine's socket: %v", err)
	}
	c.Close()
}

// TestSocketIsRootsAloneFromItsFirstMoment: its mode is 0600 whatever the umask was (TestMain sets 0), and nobody had
// to change the mode after the socket was there.
func TestSocketIsRootsAloneFromItsFirstMoment(t *testing.T) {
	r := newRig(t)
	in, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(in)
	if _, err := unix.InotifyAddWatch(in, r.dir+"/run", unix.IN_CREATE|unix.IN_ATTRIB); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.warden()
	fi, err := os.Lstat(r.dir + "/run/brig.sock")
	if err != nil || fi.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("the socket: %v, %v", fi.Mode(), err)
	}
	buf := make([]byte, 64<<10)
	n, err := unix.Read(in, buf)
	if err != nil {
		t.Fatal(err)
	}
	created := false
	for off := 0; off < n; {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[off]))
		off += unix.SizeofInotifyEvent
		name := strings.TrimRight(string(buf[off:off+int(e.Len)]), "\x00")
		off += int(e.Len)
		if name != "brig.sock" {
			continue
		}
		created = created || e.Mask&unix.IN_CREATE != 0
		if e.Mask&unix.IN_ATTRIB != 0 {
			t.Error("the socket's mode was changed after it was there")
		}
	}
	if !created {
		t.Error("nobody saw the socket appear")
	}
}

// TestReadyReachesSystemd and the ready descriptor, which is told once; systemd hears of every warden that serves.
func TestReadyReachesSystemd(t *testing.T) {
	r := newRig(t)
	path := r.dir + "/notify"
	s, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r.start("NOTIFY_SOCKET=" + path)
	for i := range 2 {
		w := r.warden()
		w.do("say ready")
		s.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 64)
		if n, err := s.Read(b); err != nil || string(b[:n]) != "READY=1" {
			t.Fatalf("warden %d: systemd hears %q, %v", i, b[:n], err)
		}
		w.kill()
	}
	if got := r.said(); got != "ready" {
		t.Errorf("the ready descriptor says %q", got)
	}
}

// TestErrorOfTheEngineReachesTheReadyDescriptor word by word.
func TestErrorOfTheEngineReachesTheReadyDescriptor(t *testing.T) {
	r := newRig(t)
	r.start()
	r.warden().do("say no erofs here. Next: brig doctor")
	if got := r.said(); got != "no erofs here. Next: brig doctor" {
		t.Errorf("the ready descriptor says %q", got)
	}
}

// TestWardenRunsFromASealedCopy: what is at its path can be replaced, what runs cannot (CVE-2019-5736).
func TestWardenRunsFromASealedCopy(t *testing.T) {
	r := newRig(t)
	r.start()
	exe := fmt.Sprintf("/proc/%d/exe", r.warden().PID)
	if link, err := os.Readlink(exe); err != nil || !strings.HasPrefix(link, "/memfd:brig-warden") {
		t.Errorf("the warden runs from %q, %v", link, err)
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
		t.Errorf("seals %#x, %v; want %#x", seals, err, want)
	}
}
