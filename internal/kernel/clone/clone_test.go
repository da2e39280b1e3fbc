package clone

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
)

func call(nr uintptr, args ...uintptr) Step {
	s := Step{Nr: nr}
	copy(s.Args[:], args)
	return s
}

// execTrue appends the execution of /bin/true.
func execTrue(p *Program) {
	s := call(unix.SYS_EXECVE, p.String("/bin/true"), p.Strings([]string{"true"}), p.Strings(nil))
	s.Kind = Exec
	p.Add(s)
}

// start makes a child that executes p.
func start(p *Program, fds []int) (*Child, error) {
	c := NewChild(0)
	return c, c.Start(p, fds)
}

// gated makes a child that waits at its gate.
func gated(t testing.TB) *Child {
	t.Helper()
	p := New()
	p.Gate()
	execTrue(p)
	c, err := start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func twoStages(p *Program) {
	s := call(unix.SYS_CLONE3, p.ForkArgs(0), ForkArgsSize)
	s.Kind = Fork
	p.Add(s)
}

func finish(t testing.TB, p *Program, fds ...int) {
	t.Helper()
	c, err := start(p, fds)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Done(); err != nil {
		t.Fatal(err)
	}
	fd := c.Release()
	defer unix.Close(fd)
	if _, err := pidfd.Wait(fd, false); err != nil {
		t.Fatal(err)
	}
}

func TestOneStageExecutes(t *testing.T) {
	p := New()
	execTrue(p)
	finish(t, p)
}

func TestTwoStagesExecute(t *testing.T) {
	p := New()
	twoStages(p)
	execTrue(p)
	finish(t, p)
}

func TestFailingStepIsNamedWithItsErrno(t *testing.T) {
	for _, stages := range []int{1, 2} {
		p := New()
		if stages == 2 {
			twoStages(p)
		}
		want := p.Add(call(unix.SYS_CHDIR, p.String("/nowhere/at/all")))
		execTrue(p)
		c, err := start(p, nil)
		if err == nil {
			err = c.Done()
		}
		var step *StepError
		if !errors.As(err, &step) || step.Step != want || !errors.Is(err, unix.ENOENT) {
			t.Errorf("%d stages: got %v, want step %d with ENOENT", stages, err, want)
		}
	}
}

// The end of the list is execve alone; a killed child is never taken for a started one.
func TestKilledChildIsNotASuccess(t *testing.T) {
	p := New()
	p.Add(Step{Nr: unix.SYS_GETPID, Out: 10})
	want := p.Add(Step{Nr: unix.SYS_KILL, Args: [6]uintptr{0, 9}, From: [6]Slot{10}})
	execTrue(p)
	c, err := start(p, nil)
	if err == nil {
		err = c.Done()
	}
	var step *StepError
	if !errors.As(err, &step) || step.Cause != Killed || step.Step != want {
		t.Fatalf("got %v, want killed at step %d", err, want)
	}
}

func TestLateChildIsKilledAndNamesItsStep(t *testing.T) {
	p := New()
	twoStages(p)
	long := []uintptr{30, 0}
	want := p.Add(call(unix.SYS_NANOSLEEP, p.Words(long), 0))
	execTrue(p)
	begun := time.Now()
	patience = 100 * time.Millisecond
	t.Cleanup(func() { patience = Patience })
	c, err := start(p, nil)
	if err == nil {
		err = c.Done()
	}
	var step *StepError
	if !errors.As(err, &step) || step.Cause != Late || step.Step != want {
		t.Fatalf("got %v, want late at step %d", err, want)
	}
	if time.Since(begun) > 2*time.Second {
		t.Fatal("the wait was not bounded")
	}
}

// A spawner that somebody has killed is replaced, and the warden that it worked for is not told.
func TestKilledSpawnerIsReplaced(t *testing.T) {
	for range 3 {
		p := New()
		execTrue(p)
		finish(t, p)
		if err := unix.Kill(theSpawner.pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := unix.Waitid(unix.P_PID, theSpawner.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A spawner that is killed while a request waits for it has forked nothing: another one is asked, and no cell is lost.
func TestRequestOfAKilledSpawnerIsMadeAgain(t *testing.T) {
	for range cells / 8 {
		p := New()
		execTrue(p)
		finish(t, p)
		old := theSpawner.pid
		if err := unix.Kill(old, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Millisecond, func() { unix.Kill(old, unix.SIGKILL) })
		finish(t, p)
		if theSpawner.pid == old {
			t.Fatal("the spawner was not replaced")
		}
	}
	allCellsAreFree(t)
}

// What a spawner forked before it was killed is known, and is a child as any other.
func TestChildOfASpawnerThatDidNotAnswerIsKnown(t *testing.T) {
	m, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	p := New()
	p.Gate()
	c, err := start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	if pid := int(atomic.LoadUint32(m.born)); pid != c.PID {
		t.Fatalf("the kernel noted %d, the spawner said %d", pid, c.PID)
	}
	maps, err := os.ReadFile("/proc/" + strconv.Itoa(c.PID) + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	word := strconv.FormatUint(uint64(uintptr(unsafe.Pointer(m.born))), 16) + "-"
	if strings.Contains(string(maps), word) {
		t.Error("the child has the spawner's word")
	}
}

// A child that waits for its list ends with the warden, and does not keep what the warden knows the end of its spawner by.
func TestWaitingChildHoldsNobodyUp(t *testing.T) {
	c := NewChild(0)
	defer c.Kill()
	c.born.Wait()
	if err := unix.Kill(theSpawner.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	p := New()
	execTrue(p)
	finish(t, p)
	if d := time.Since(begun); d > Patience/2 {
		t.Errorf("it took %v to see that the spawner was gone", d)
	}
	unix.Close(c.sync)
	c.sync = -1
	if ended, err := pidfd.Ended(c.pidfd, 2*time.Second); !ended {
		t.Errorf("the child waits for a warden that is gone: %v", err)
	}
}

func TestKilledWaitingChildIsNotASuccess(t *testing.T) {
	for _, late := range []bool{false, true} { // it may be dead by the time when its list comes
		c := NewChild(0)
		c.born.Wait()
		if err := pidfd.Signal(c.pidfd, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if late {
			_, _ = pidfd.Ended(c.pidfd, 2*time.Second)
		}
		p := New()
		twoStages(p)
		execTrue(p)
		err := c.Start(p, nil)
		var step *StepError
		if !errors.As(err, &step) || step.Cause != Killed {
			t.Errorf("got %v", err)
		}
	}
	allCellsAreFree(t)
}

// A child may be killed by whoever fails, one after the other: what it had is given up once, and may be somebody's by then.
func TestKillIsOnce(t *testing.T) {
	c := gated(t)
	fds := []int{c.pidfd, c.sync}
	c.Kill()
	for _, fd := range fds { // take their numbers
		null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Dup3(null, fd, unix.O_CLOEXEC); err != nil && null != fd {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	c.Kill()
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("descriptor %d of somebody else was closed: %v", fd, err)
		}
	}
	allCellsAreFree(t)
}

func allCellsAreFree(t *testing.T) {
	t.Helper()
	m, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if len(m.free) == cells {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d of %d cells are free", len(m.free), cells)
}

// A child that there is no descriptor for has its cell until it is reaped: the next program must not be written over the
// list that it executes. It takes long to die here: it is process 1 of a namespace with a child of ours that has ended.
func TestCellOfAChildThatCannotBeNamedIsNotGivenAway(t *testing.T) {
	first := New()
	s := call(unix.SYS_CLONE3, first.ForkArgs(unix.CLONE_NEWPID), ForkArgsSize)
	s.Kind = Fork
	first.Add(s)
	first.Add(call(unix.SYS_NANOSLEEP, first.Words([]uintptr{30, 0}), 0))
	one, err := start(first, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Kill()
	second := New()
	in, _ := second.NewSlot()
	second.Input(in)
	second.Add(Step{Nr: unix.SYS_SETNS, From: [6]Slot{in}, Args: [6]uintptr{0, unix.CLONE_NEWPID}})
	twoStages(second)
	execTrue(second)
	two, err := start(second, []int{one.pidfd})
	if err == nil {
		err = two.Done()
	}
	if err != nil {
		t.Fatal(err)
	}
	zombie := two.Release()
	defer unix.Close(zombie)
	if ended, err := pidfd.Ended(zombie, 5*time.Second); !ended {
		t.Fatalf("/bin/true does not end: %v", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	m := &memory{free: make(chan int, 1)}
	c := &Child{memory: m, pidfd: -1, sync: -1}
	err = c.adopt(one.PID)
	c.Kill()
	if limErr := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); limErr != nil {
		t.Fatal(limErr)
	}
	if !errors.Is(err, unix.EMFILE) {
		t.Fatalf("got %v", err)
	}
	if len(m.free) != 0 {
		t.Error("the cell was given back while its child lives")
	}
	if _, err := pidfd.Wait(zombie, false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.free:
	case <-time.After(5 * time.Second):
		t.Error("the cell was not given back when its child had ended")
	}
}

// Cells are given back by children that execute, that fail and that are killed: there are fewer than children here.
func TestCellsAreGivenBack(t *testing.T) {
	for i := range 3 * cells {
		p := New()
		if i%3 == 0 {
			p.Bytes(make([]byte, 2*keepSize))
		}
		if i%2 == 0 {
			p.Add(call(unix.SYS_CHDIR, p.String("/nowhere/at/all")))
		}
		execTrue(p)
		c, err := start(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 {
			c.Kill()
			continue
		}
		if err := c.Done(); err == nil {
			fd := c.Release()
			if _, err := pidfd.Wait(fd, false); err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
		}
	}
	allCellsAreFree(t)
}

func TestTooLargeProgramIsRefused(t *testing.T) {
	p := New()
	p.Bytes(make([]byte, cellSize))
	execTrue(p)
	if _, err := start(p, nil); !errors.Is(err, unix.E2BIG) {
		t.Fatalf("got %v", err)
	}
	p = New()
	for range maxInputs + 1 {
		p.Input(firstFree)
	}
	if _, err := start(p, make([]int, maxInputs+1)); !errors.Is(err, unix.E2BIG) {
		t.Fatalf("got %v", err)
	}
}

// T10: a child that is stopped must not hold up garbage collection or other goroutines.
func TestStoppedChildFreezesNobody(t *testing.T) {
	c := gated(t)
	defer c.Kill()
	if err := unix.PidfdSendSignal(c.pidfd, unix.SIGSTOP, nil, 0); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for range 5 {
		runtime.GC()
	}
	if d := time.Since(begun); d > time.Second {
		t.Fatalf("five collections took %v beside a stopped child", d)
	}
}

func TestGateFailsWhenTheParentIsGone(t *testing.T) {
	p := New()
	want := p.Gate()
	execTrue(p)
	c, err := start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Await(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(c.sync, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	var step *StepError
	if err := c.Done(); !errors.As(err, &step) || step.Step != want || step.Errno != unix.EPIPE {
		t.Fatalf("got %v, want EPIPE at step %d", err, want)
	}
}

func TestSlotsTolerancesAndJumps(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := New()
	in, _ := p.NewSlot()
	p.Input(in)
	write := func(text string) Step {
		s := call(unix.SYS_WRITE, 0, p.Bytes([]byte(text)), uintptr(len(text)))
		s.From[0] = in
		return s
	}
	missing := call(unix.SYS_CHDIR, p.String("/nowhere/at/all"))
	missing.On[0] = Tolerance{Errno: unix.EACCES}
	missing.On[1] = Tolerance{Errno: unix.ENOENT, Skip: 1, Remember: true}
	p.Add(missing)
	p.Add(write("not after the tolerated error"))
	p.Add(write("a"))
	jump := call(unix.SYS_GETPID)
	jump.Skip = 1
	p.Add(jump)
	p.Add(write("not after the jump"))
	p.Add(Step{Nr: unix.SYS_DUP, From: [6]Slot{in}, Out: 20})
	duplicate := write("b")
	duplicate.From[0] = 20
	p.Add(duplicate)
	want := p.Add(Step{Kind: Fail, Args: [6]uintptr{uintptr(unix.EIO)}})
	c, err := start(p, []int{int(w.Fd())})
	w.Close()
	if err == nil {
		err = c.Done()
	}
	var step *StepError
	if !errors.As(err, &step) || step.Step != want || step.Errno != unix.ENOENT {
		t.Fatalf("got %v, want the remembered ENOENT at step %d", err, want)
	}
	b := make([]byte, 100)
	n, _ := r.Read(b)
	if string(b[:n]) != "ab" {
		t.Fatalf("the list wrote %q", b[:n])
	}
}

// What a child opens arrives, also when something was opened before, and a child that fails before says so.
func TestDescriptorOfAChildArrives(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{dir, dir + "/missing"} {
		p := New()
		p.Add(Step{Nr: unix.SYS_OPENAT, Args: [6]uintptr{0, p.String("/"), unix.O_PATH}})
		p.SendFD(Step{Nr: unix.SYS_OPENAT, Args: [6]uintptr{0, p.String(name), unix.O_PATH}})
		c, err := start(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := c.Await()
		c.Kill()
		if name != dir {
			if !errors.Is(err, unix.ENOENT) {
				t.Errorf("got %d, %v", fd, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); got != dir {
			t.Errorf("the descriptor names %s (%v)", got, err)
		}
		unix.Close(fd)
	}
}

// A3 (CVE-2024-21626): the only descriptors of a child are its own.
func TestChildSeesNoDescriptorOfTheEngine(t *testing.T) {
	secret, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	low, err := unix.FcntlInt(secret.Fd(), unix.F_DUPFD, 3) // not even close-on-exec, and low if it can be
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(low)
	p := New()
	in, _ := p.NewSlot()
	p.Input(in)
	p.Add(Step{Nr: unix.SYS_DUP3, From: [6]Slot{in}, Args: [6]uintptr{0, 1, 0}})
	s := call(unix.SYS_EXECVE, p.String("/bin/ls"), p.Strings([]string{"ls", "/proc/self/fd"}), p.Strings(nil))
	s.Kind = Exec
	p.Add(s)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	finish(t, p, int(w.Fd()))
	w.Close()
	b := make([]byte, 1000)
	n, _ := r.Read(b)
	if got := string(b[:n]); got != "0\n1\n2\n3\n" { // 3 is the directory that ls reads
		t.Fatalf("descriptors of the child:\n%s", got)
	}
}

// T20: forks under garbage collection and preemption. BRIG_SLOW=1 makes it 10,000.
func TestForksUnderPressure(t *testing.T) {
	count := 500
	if os.Getenv("BRIG_SLOW") == "1" {
		count = 10000
	}
	stop := make(chan struct{})
	defer close(stop)
	for range 2 {
		go func() {
			var keep [][]byte
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if keep = append(keep, make([]byte, 1<<12)); i%1000 == 0 {
					keep = nil
					runtime.GC()
				}
			}
		}()
	}
	for i := range count {
		p := New()
		p.Add(call(unix.SYS_SETDOMAINNAME, 0, 1<<20)) // refused: too long
		p.steps[p.Len()-1].On[0] = Tolerance{Errno: unix.EINVAL}
		if i%2 == 0 {
			twoStages(p)
		}
		p.Add(call(unix.SYS_GETPID))
		finish(t, p)
	}
}

func BenchmarkFork(b *testing.B) {
	for stages := 1; stages <= 2; stages++ {
		b.Run(strconv.Itoa(stages), func(b *testing.B) {
			for b.Loop() {
				p := New()
				if stages == 2 {
					twoStages(p)
				}
				p.Add(call(unix.SYS_GETPID))
				finish(b, p)
			}
		})
	}
}

// What a child offers the parent has before the child goes on, whatever filter the child has.
func TestOfferIsTakenBeforeTheChildGoesOn(t *testing.T) {
	program := func() *Program {
		p := New()
		open := call(unix.SYS_OPENAT, 0, p.String("/dev/zero"), unix.O_RDONLY|unix.O_CLOEXEC)
		open.Kind = Offer
		p.Add(open)
		execTrue(p)
		return p
	}
	c, err := start(program(), nil)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // it waits for ever, and not only until somebody looks
	c.Offered = func(fd int) error {
		if ended, err := pidfd.Ended(c.pidfd, 0); ended || err != nil {
			t.Errorf("it went on: %v %v", ended, err)
		}
		b := []byte{1}
		if n, err := unix.Read(fd, b); n != 1 || err != nil || b[0] != 0 {
			t.Errorf("it is another descriptor: %d %v %v", n, err, b)
		}
		return nil
	}
	if err := c.Take(); err != nil {
		t.Fatal(err)
	}
	if err := c.Done(); err != nil {
		t.Fatal(err)
	}
	fd := c.Release()
	if s, err := pidfd.Wait(fd, false); err != nil || s.ExitCode() != 0 {
		t.Errorf("%+v %v", s, err)
	}
	unix.Close(fd)

	if c, err = start(program(), nil); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("nobody wants it")
	c.Offered = func(int) error { return refused }
	if err := c.Take(); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	if step := atomic.LoadUint32(&c.page().step); step != 0 { // the offer
		t.Errorf("it went on to step %d", step)
	}
	c.Kill()

	p := New()
	p.Add(call(unix.SYS_EXIT_GROUP, 3))
	if c, err = start(p, nil); err != nil {
		t.Fatal(err)
	}
	var step *StepError
	if err := c.Take(); !errors.As(err, &step) || step.Cause != Killed {
		t.Errorf("a child that offers nothing: %v", err)
	}
	c.Kill()
}

// A child that nobody takes anything from ends by itself: its parent may have been killed, and no system call tells it.
func TestOfferIsNotForEver(t *testing.T) {
	if os.Getenv("BRIG_SLOW") != "1" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	p := New()
	open := call(unix.SYS_OPENAT, 0, p.String("/dev/zero"), unix.O_RDONLY|unix.O_CLOEXEC)
	open.Kind = Offer
	p.Add(open)
	execTrue(p)
	c, err := start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	begin := time.Now()
	if ended, err := pidfd.Ended(c.pidfd, 3*time.Minute); !ended || err != nil {
		t.Fatalf("it turns on and on: %v", err)
	}
	t.Logf("it waited %v", time.Since(begin))
	if e := syscall.Errno(atomic.LoadUint32(&c.page().errno)); e != unix.EPIPE {
		t.Errorf("it ended with %v", e)
	}
}
