package fault

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// order is what a tracer is to do.
type order struct {
	Engine engineID
	Roles  []string // programs whose steps count
	Step   step     // the zero value strikes nothing
	Fault  fault
	Client int // its pid, where it is the client that goes
}

// step is the nth passing of one point: of all steps with one text.
type step struct {
	Text string // "brigd renameat daemon/containers/ID/record.json"
	Nth  int    // from 1
}

func (s step) role() string { role, _, _ := strings.Cut(s.Text, " "); return role }

func (s step) call() string { return strings.Split(s.Text+"  ", " ")[1] }

func (s step) String() string {
	if s.Nth > 1 {
		return fmt.Sprintf("%s #%d", s.Text, s.Nth)
	}
	return s.Text
}

// fault is what happens in front of a step.
type fault struct {
	Name   string
	Kill   []string       // programs
	Down   bool           // everything that the engine has started goes, and what is volatile with it
	Signal syscall.Signal // to the keeper
	Client bool           // the client goes
	Errno  syscall.Errno  // the step itself fails
}

// tracerWord is the first argument of the process that traces: its children are those that it traces, and nobody else
// waits for them.
const tracerWord = "in-tracer"

const (
	ready  = "ready"
	struck = "struck"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == tracerWord {
		if err := trace(); err != nil {
			fmt.Fprintln(os.Stderr, "tracer:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// tracer is the test's end of a process that traces.
type tracer struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	in    *os.File
}

// startTracer returns when every thread is traced.
func startTracer(t testing.TB, o order) *tracer {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tr := &tracer{cmd: exec.Command("/proc/self/exe", tracerWord), in: w}
	tr.cmd.Stdin, tr.cmd.Stderr = r, os.Stderr
	out, err := tr.cmd.StdoutPipe()
	if err == nil {
		err = tr.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	tr.lines = bufio.NewScanner(out)
	fmt.Fprintf(w, "%s\n", b)
	if !tr.lines.Scan() || tr.lines.Text() != ready {
		t.Fatalf("the tracer says %q", tr.lines.Text())
	}
	return tr
}

// stop ends the tracer: the kernel lets everybody go on. It gives the steps that were passed, and whether one was struck.
func (tr *tracer) stop() (steps []step, hit bool) {
	tr.in.Close()
	// What was passed has been said; the rest are threads that it waits for.
	time.AfterFunc(50*time.Millisecond, func() { tr.cmd.Process.Kill() })
	seen := map[string]int{}
	for tr.lines.Scan() {
		if text := tr.lines.Text(); text == struck {
			hit = true
		} else {
			seen[text]++
			steps = append(steps, step{text, seen[text]})
		}
	}
	tr.cmd.Wait()
	return steps, hit
}

// The following is the process that traces.

type tracing struct {
	order
	out     *bufio.Writer
	roles   map[int]string // by process
	process map[int]int    // by thread
	fails   map[int]bool   // threads whose call is being made to fail
	ready   bool           // every thread is traced, so counting has begun
	passed  int            // how often the step was
	done    bool
}

func trace() error {
	runtime.LockOSThread()
	var t tracing
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&t.order); err != nil {
		return err
	}
	t.out = bufio.NewWriter(os.Stdout)
	t.roles, t.process, t.fails = map[int]string{}, map[int]int{}, map[int]bool{}
	for _, role := range t.Roles {
		for _, pid := range t.Engine.find(role) {
			if err := t.attach(pid, role); err != nil {
				return fmt.Errorf("attach to %s: %w", role, err)
			}
		}
	}
	return t.loop()
}

const traceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE

// attach seizes every thread of a process and has it stop once: from then on it stops at every system call.
func (t *tracing) attach(pid int, role string) error {
	t.roles[pid] = role
	for again := true; again; {
		again = false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if t.process[tid] != 0 {
				continue
			}
			if err := ptrace(unix.PTRACE_SEIZE, tid, 0, traceOptions); errors.Is(err, unix.ESRCH) {
				continue
			} else if err != nil && !errors.Is(err, unix.EPERM) { // which says that it is traced, being new
				return err
			}
			t.process[tid], again = pid, true
			ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0)
		}
	}
	return nil
}

func ptrace(request, tid int, addr, data uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// loop lets threads go on until they are gone. Ready is said when each has stopped once.
func (t *tracing) loop() error {
	waiting := map[int]bool{}
	for tid := range t.process {
		waiting[tid] = true
	}
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil // nobody is left
		}
		if t.process[tid] == 0 { // a new thread's first stop may come before that of the one that made it
			t.process[tid] = threadGroup(tid)
		}
		t.stopped(tid, ws)
		if len(waiting) > 0 {
			if delete(waiting, tid); len(waiting) == 0 {
				t.ready = true
				t.say(ready)
			}
		}
	}
}

func threadGroup(tid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Tgid:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(rest))
			return n
		}
	}
	return tid
}

func (t *tracing) say(text string) {
	t.out.WriteString(text + "\n")
	t.out.Flush()
}

// stopped is called for one change of one thread, and lets it go on.
func (t *tracing) stopped(tid int, ws unix.WaitStatus) {
	if !ws.Stopped() {
		delete(t.process, tid)
		return
	}
	signal := uintptr(0)
	switch s := ws.StopSignal(); {
	case s == unix.SIGTRAP|0x80:
		t.atCall(tid)
	case ws>>16 == unix.PTRACE_EVENT_STOP && s != unix.SIGTRAP: // a stop of the whole group: it stays stopped
		ptrace(unix.PTRACE_LISTEN, tid, 0, 0)
		return
	case ws>>16 != 0:
	default:
		signal = uintptr(s)
	}
	ptrace(unix.PTRACE_SYSCALL, tid, 0, signal)
}

// callInfo is struct ptrace_syscall_info.
type callInfo struct {
	op   uint8
	_    [3]byte
	_    uint32
	_, _ uint64
	nr   uint64
	args [6]uint64
	_    [8]byte
}

func (t *tracing) atCall(tid int) {
	var c callInfo
	const getSyscallInfo, entry = 0x420e, 1
	if ptrace(getSyscallInfo, tid, unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c))) != nil {
		return
	}
	if c.op != entry {
		if t.fails[tid] {
			delete(t.fails, tid)
			failCall(tid, t.Fault.Errno)
		}
		return
	}
	pid := t.process[tid]
	text := t.describe(pid, &c)
	if text == "" || !t.ready {
		return
	}
	text = t.roles[pid] + " " + text
	t.say(text)
	if t.done || text != t.Step.Text {
		return
	}
	if t.passed++; t.passed == t.Step.Nth {
		t.done = true
		t.strike(tid)
		t.say(struck)
	}
}

// strike does what the fault is, while the thread stands in front of the step.
func (t *tracing) strike(tid int) {
	f := &t.Fault
	switch {
	case f.Errno != 0:
		skipCall(tid)
		t.fails[tid] = true
	case f.Client:
		unix.Kill(t.Client, unix.SIGKILL)
	case f.Down:
		t.Engine.kill(append([]string{"brig-keeper", "brig-warden", "brigd", "brig-router", "brig-store", "brig-worker"}, containers))
	case f.Signal != 0:
		for _, pid := range t.Engine.find("brig-keeper") {
			unix.Kill(pid, f.Signal)
		}
	default:
		t.Engine.kill(f.Kill)
	}
}
