package plan_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/memfile"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// withInit prepares a container whose process 1 is init, with the filters of a real one.
func withInit(t testing.TB, root string, args []string, changes ...func(*wire.Spec)) *box {
	t.Helper()
	s := spec(args...)
	s.Init = true
	for _, c := range changes {
		c(s)
	}
	b := prepare(t, root, s)
	b.in.Filters = realFilters(t)
	program, err := code.Read("init")
	must(t, err)
	f, err := memfile.Seal("init", bytes.NewReader(program))
	must(t, err)
	defer f.Close()
	must(t, f.Chmod(0o555))
	b.fds["init"], err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return b
}

func script(text string) []string { return []string{"sh", "-c", text} }

// begin starts a container, reads its first line, and kills it when the test is over.
func begin(t testing.TB, b *box) (pid, fd int, lines *bufio.Reader) {
	t.Helper()
	pid, fd, err := b.start(t)
	must(t, err)
	t.Cleanup(func() {
		_ = pidfd.Signal(fd, unix.SIGKILL)
		_, _ = pidfd.Wait(fd, false)
		unix.Close(fd)
	})
	out := b.out
	if b.master >= 0 {
		must(t, unix.SetNonblock(b.master, true))
		out = os.NewFile(uintptr(b.master), "terminal")
	}
	t.Cleanup(func() { out.Close() })
	must(t, out.SetReadDeadline(time.Now().Add(20*time.Second)))
	lines = bufio.NewReader(out)
	if l := line(t, lines); l != "ready" {
		t.Fatalf("the container says %q", l)
	}
	return pid, fd, lines
}

func line(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	l, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, l)
	}
	return strings.TrimSpace(l)
}

func TestInitIsProcessOne(t *testing.T) {
	out, status, err := withInit(t, image(t), script(`busybox tr '\0' '|' < /proc/1/cmdline | head -c 23; echo
		cat /proc/1/comm; readlink /proc/1/exe; ls /proc/1/fd
		sed 's/.*) . \([0-9]*\) \([0-9]*\) \([0-9]*\) .*/parent \1 group \2 session \3/' /proc/$$/stat
		for p in 1 self; do grep -E '^(SigBlk|SigIgn|SigCgt|CapEff|NoNewPrivs|Seccomp_filters)' /proc/$p/status; done
		env | grep -v -E '^(PWD|SHLVL|OLDPWD)='; exit 7`)).run(t)
	must(t, err)
	// While process 1 waits for signals the kernel shows none as blocked.
	confined := strings.Repeat("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"+
		"CapEff:\t00000000000405fb\nNoNewPrivs:\t1\nSeccomp_filters:\t2\n", 2)
	expect(t, out, "init|/bin/sh|sh|-c|busy\ninit\n/memfd:init (deleted)\n0\n1\n2\nparent 1 group 2 session 1\n"+confined+
		"PATH=/usr/bin:/bin")
	if status.ExitCode() != 7 {
		t.Errorf("exit code %d", status.ExitCode())
	}
}

func TestInitExitsAsTheProgramDoes(t *testing.T) {
	root := image(t)
	for name, text := range map[string]string{"lost": "#!/missing\n", "garbage": "\x00\x01\x02\x03", "plain": "text"} {
		mode := os.FileMode(0o755)
		if name == "plain" {
			mode = 0o644
		}
		must(t, os.WriteFile(filepath.Join(root, "bin", name), []byte(text), mode))
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{script("exit 0"), 0, ""},
		{script("exit 255"), 255, ""},
		{script("kill -9 $$"), 137, ""},
		{script("kill -TERM $$"), 143, ""},
		{script("(sleep 20 &); exit 3"), 3, ""},
		{[]string{"bin/sh", "-c", "exit 4"}, 4, ""},
		{[]string{"/bin/sh", "-c", "exit 5"}, 5, ""},
		{[]string{"lost"}, 127, "init: this program, or its interpreter, does not exist: /bin/lost\n"},
		{[]string{"garbage"}, 126, "init: cannot be executed: /bin/garbage\n"},
		{[]string{"/bin"}, 126, "init: cannot be executed: /bin\n"},
	} {
		out, status, err := withInit(t, root, c.args).run(t)
		if err != nil || status.Signal != 0 || status.Code != c.code || out != c.says {
			t.Errorf("%q: %v, %+v, %q; want %d and %q", c.args, err, status, out, c.code, c.says)
		}
	}
	// What the search can tell is told before there is a container.
	for name, sort := range map[string]calls.Sort{"nothing": calls.NotFound, "plain": calls.NotExecutable} {
		_, _, err := withInit(t, root, []string{name}).run(t)
		var step *plan.StepError
		if !errors.As(err, &step) || step.Sort != sort {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInitForwardsEverySignal(t *testing.T) {
	var signals []int
	for s := 1; s <= 64; s++ {
		switch unix.Signal(s) {
		case unix.SIGKILL, unix.SIGSTOP: // nobody can take them
		case unix.SIGCHLD: // is about init's own children
		case 32, 33: // of the C library
		default:
			signals = append(signals, s)
		}
	}
	_, fd, lines := begin(t, withInit(t, image(t), script("for s in "+strings.Trim(fmt.Sprint(signals), "[]")+
		"; do trap \"echo $s\" $s; done; echo ready; while :; do sleep 0.01; done")))
	for _, s := range signals {
		must(t, pidfd.Signal(fd, unix.Signal(s)))
		if l := line(t, lines); l != strconv.Itoa(s) {
			t.Errorf("signal %d: the program says %q", s, l)
		}
	}
}

// The program has no handler, and as process 1 it would ignore the signal. It is sent as early as a caller can send it.
func TestInitPassesOnASignalThatComesAtOnce(t *testing.T) {
	root := image(t)
	for range 10 {
		b := withInit(t, root, []string{"sleep", "30"})
		_, fd, err := b.start(t)
		must(t, err)
		b.out.Close()
		must(t, pidfd.Signal(fd, unix.SIGTERM))
		if done, err := pidfd.Ended(fd, 10*time.Second); err != nil || !done {
			t.Errorf("the program goes on (%v)", err)
			must(t, pidfd.Signal(fd, unix.SIGKILL))
		}
		status, err := pidfd.Wait(fd, false)
		unix.Close(fd)
		if err != nil || status.Code != 143 {
			t.Errorf("%+v, %v", status, err)
		}
	}
}

// Two executions give the program what one gives it, in both orders of the last steps.
func TestInitChangesNoRightsOfTheProgram(t *testing.T) {
	root := image(t)
	for _, uid := range []uint32{0, 1000} {
		for _, privileges := range []bool{false, true} {
			rights := func(s *wire.Spec) {
				s.Process.User = wire.User{UID: uid, GID: 100, Groups: []uint32{100, 2000}}
				s.Process.AllowNewPrivileges = privileges
			}
			command := []string{"grep", "-E", "^(Uid|Gid|Groups|Cap|NoNew|Seccomp|Sig|Umask)", "/proc/self/status"}
			s := spec(command...)
			rights(s)
			b := prepare(t, root, s)
			b.in.Filters = realFilters(t)
			want, _, err := b.run(t)
			must(t, err)
			got, _, err := withInit(t, root, command, rights).run(t)
			must(t, err)
			if got != want || !strings.Contains(got, "Seccomp_filters:\t2") {
				t.Errorf("uid %d, privileges %v: with init\n%s\nwithout\n%s", uid, privileges, got, want)
			}
		}
	}
}

// The control is a process 1 that waits for nobody.
func TestInitLeavesNoZombies(t *testing.T) {
	const count = `cat /proc/[0-9]*/status 2>/dev/null | grep -c "^State:.Z"`
	const orphans = "i=0; while [ $i -lt 40 ]; do (true &); i=$((i+1)); done; "
	s := spec(script("sh -c '" + orphans + "sleep 0.5; " + count + "' & exec sleep 2")...)
	out, _, err := prepare(t, image(t), s).run(t)
	must(t, err)
	if n, _ := strconv.Atoi(strings.TrimSpace(out)); n < 20 {
		t.Fatalf("the control has %q zombies", out)
	}
	out, _, err = withInit(t, image(t), script(orphans+"n=0; while [ $n -lt 50 ] && [ $("+count+") != 0 ]; do sleep 0.1; "+
		"n=$((n+1)); done; "+count)).run(t)
	must(t, err)
	expect(t, out, "0")
}

func TestInitGivesTheTerminalToTheProgram(t *testing.T) {
	b := withInit(t, image(t), script(`trap 'echo caught; exit 5' INT; trap 'echo resized' WINCH; stty -echo
		sed 's/.*) . [0-9]* \([0-9]*\) [0-9]* [0-9]* \([0-9]*\) .*/group \1 foreground \2/' /proc/$$/stat > /tmp/groups
		echo ready; cat /tmp/groups; read x; echo "read $x"; while :; do sleep 0.01; done`),
		func(s *wire.Spec) { s.Process.Terminal = true })
	_, fd, lines := begin(t, b)
	expect(t, line(t, lines), "group 2 foreground 2")
	send := func(s string) {
		t.Helper()
		_, err := unix.Write(b.master, []byte(s))
		must(t, err)
	}
	send("typed\n")
	expect(t, line(t, lines), "read typed")
	must(t, unix.IoctlSetWinsize(b.master, unix.TIOCSWINSZ, &unix.Winsize{Row: 10, Col: 20}))
	expect(t, line(t, lines), "resized")
	send("\x03")
	expect(t, strings.TrimPrefix(line(t, lines), "^C"), "caught")
	status, err := pidfd.Wait(fd, true)
	if err != nil || status.ExitCode() != 5 {
		t.Errorf("%+v, %v", status, err)
	}
}

// An idle init is one page of code and two of stack.
func TestIdleInitIsSmall(t *testing.T) {
	pid, _, _ := begin(t, withInit(t, image(t), script("echo ready; exec sleep 30")))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	m := regexp.MustCompile(`VmRSS:\s*(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmRSS:\n%s", status)
	}
	if kb, _ := strconv.Atoi(string(m[1])); kb == 0 || kb > 64 {
		t.Errorf("process 1 has %d KB", kb)
	}
	t.Logf("%s", m[0])
}

// The file is one for all containers: nobody leaves anything in it (CVE-2019-5736).
func TestInitCannotBeChangedFromInside(t *testing.T) {
	b := withInit(t, image(t), script("echo ready; exec sleep 30"))
	pid, _, _ := begin(t, b)
	file := fmt.Sprintf("/proc/%d/exe", pid)
	before, err := os.ReadFile(file)
	must(t, err)
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	if _, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		t.Error("it can be opened for writing while it runs")
	}
	if st, err := f.Stat(); err != nil || st.Mode().Perm() != 0o555 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	const all = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if err != nil || seals&all != all {
		t.Errorf("seals %#x, %v", seals, err)
	}
	out, _, err := withInit(t, image(t), script(`exec 2>&1; echo x > /proc/1/exe; echo x >> /proc/1/exe
		chmod 777 /proc/1/exe
		touch -d 2001-01-01 /proc/1/exe; stat -L -c '%a %u' /proc/1/exe; /proc/1/exe; echo $?`)).run(t)
	must(t, err)
	if strings.Count(out, "ermi") < 3 || !strings.Contains(out, "\n555 65534\n") ||
		!strings.HasSuffix(out, "\n125\n") {
		t.Errorf("inside: %s", out)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed: %v", err)
	}
}

func TestInitSaysWhatItCannotDo(t *testing.T) {
	b := withInit(t, image(t), script("true"))
	b.in.Limits.Resources = []plan.Limit{{Kind: unix.RLIMIT_NPROC, Soft: 1, Hard: 1}}
	out, status, err := b.run(t)
	if err != nil || status.Code != 125 || out != "init: no process for the program can be made\n" {
		t.Errorf("without processes: %v, %+v, %q", err, status, out)
	}
	deaf := answering(t, unix.EPERM, unix.SYS_RT_SIGTIMEDWAIT)
	b = withInit(t, image(t), script("sleep 20"))
	b.in.Filters = realFilters(t, deaf)
	out, status, err = b.run(t)
	if err != nil || status.Code != 125 || out != "init: waiting for signals is not allowed\n" {
		t.Errorf("without rt_sigtimedwait: %v, %+v, %q", err, status, out)
	}
}

// The kernel bounds the arguments; our own bound is on lists of them, one for each directory of PATH.
func TestInitBoundsItsArguments(t *testing.T) {
	s := spec(append([]string{"true"}, make([]string, 600_000)...)...)
	s.Init = true
	if _, err := plan.Birth(plan.Input{Spec: s, Host: goldenHost()}); !errors.Is(err, unix.E2BIG) {
		t.Errorf("%v", err)
	}
	b := withInit(t, image(t), append(script(`echo $#`), strings.Fields(strings.Repeat("x ", 20_000))...))
	out, _, err := b.run(t)
	must(t, err)
	expect(t, out, "19999")
}
