package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/wire"
)

// The test binary plays the keeper when it is called by that name. What it does is written in ROOT/role.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "brig-keeper" {
		playKeeper(os.Args[1:])
	}
	os.Exit(m.Run())
}

func playKeeper(args []string) {
	option := make(map[string]string)
	for i := 0; i+1 < len(args); i += 2 {
		option[args[i]] = args[i+1]
	}
	role, _ := os.ReadFile(filepath.Join(option["--root"], "role"))
	ready := os.NewFile(3, "ready")
	switch string(role) {
	case "foreground":
		fmt.Printf("pid %d, session %v, ready %q\n", os.Getpid(), option["--socket"], option["--ready-fd"])
		os.Exit(7)
	case "refuse":
		fmt.Fprintln(ready, "kernel 5.10 is older than 6.1")
		os.Exit(1)
	case "inherit":
		fmt.Print(inherited())
		fmt.Fprintln(ready, "ready")
		os.Exit(0)
	case "die":
		fmt.Fprintln(os.Stderr, "panic: something")
		os.Exit(2)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	pid := fmt.Sprintf("%d %s\n", os.Getpid(), startTime(os.Getpid()))
	os.WriteFile(filepath.Join(option["--run"], "keeper.pid"), []byte(pid), 0o644)
	fmt.Fprintln(ready, "ready")
	ready.Close()
	sid, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	fmt.Printf("session leader %v\n", int(sid) == os.Getpid())
	select {
	case <-term:
		os.Exit(0)
	case <-time.After(30 * time.Second):
		os.Exit(3)
	}
}

func options(t *testing.T, role string) Options {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the engine's unprivileged processes walk through it
		t.Fatal(err)
	}
	programs, root := filepath.Join(dir, "programs"), filepath.Join(dir, "root")
	for _, d := range []string{programs, root} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(self, filepath.Join(programs, "brig-keeper")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "role"), []byte(role), 0o644); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	t.Cleanup(func() { removeGroups(t, run) })
	return Options{Root: root, Run: run, Socket: filepath.Join(run, "brig.sock"), Programs: programs}
}

// removeGroups does what the warden of an engine would do at its end.
func removeGroups(t *testing.T, run string) {
	var where wire.Machine
	b, err := os.ReadFile(filepath.Join(run, wire.MachineFile))
	if err != nil || json.Unmarshal(b, &where) != nil {
		return // no engine was started, or the test has written something else there
	}
	p, err := cgroup.OpenParent(where.Groups)
	if err == nil {
		err = p.Remove()
	}
	if err != nil {
		t.Error(err)
	}
}

// A directory that somebody else could replace is not where an engine is started: root would follow him.
func TestDirectoriesOfOthers(t *testing.T) {
	for name, change := range map[string]func(root string) error{
		"of user 1000,": func(root string) error { return os.Chown(root, 1000, 0) },
		"of user 1001,": func(root string) error { return os.Chown(filepath.Dir(root), 1001, 0) },
		"can write":     func(root string) error { return os.Chmod(filepath.Dir(root), 0o777) },
	} {
		o := options(t, "serve")
		if err := change(o.Root); err != nil {
			t.Fatal(err)
		}
		if err := Start(o); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "which others than root can write") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What somebody's link leads to is left alone.
func TestLinksOfOthers(t *testing.T) {
	o := options(t, "serve")
	dir := filepath.Join(filepath.Dir(o.Root), "theirs")
	victim := filepath.Join(filepath.Dir(o.Root), "victim")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Mkdir(victim, 0o700), os.Symlink(victim, filepath.Join(dir, "root")), os.Chown(dir, 1000, 1000)); err != nil {
		t.Fatal(err)
	}
	o.Root = filepath.Join(dir, "root")
	err := Start(o)
	st, serr := os.Stat(victim)
	if err == nil || !strings.Contains(err.Error(), "lies in, "+dir) || serr != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v; %v %v", err, st.Mode(), serr)
	}
	if list, _ := os.ReadDir(victim); len(list) > 0 {
		t.Errorf("there is %v", list)
	}
}

// An engine whose unprivileged processes could not reach their files is not started.
func TestDirectoriesThatNobodyMayEnter(t *testing.T) {
	o := options(t, "serve")
	if err := os.Chmod(filepath.Dir(o.Root), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Start(o); err == nil || !strings.Contains(err.Error(), "chmod o+x "+filepath.Dir(o.Root)) {
		t.Errorf("%v", err)
	}
}

func TestStartStatusStop(t *testing.T) {
	o := options(t, "serve")
	if s := Look(o.Run); s.Running {
		t.Fatalf("before the start: %+v", s)
	}
	if err := Start(o); err != nil {
		t.Fatal(err)
	}
	s := Look(o.Run)
	if !s.Running || s.PIDs["brig-keeper"] == 0 || s.Root != o.Root || s.Socket != o.Socket {
		t.Errorf("after the start: %+v", s)
	}
	if err := Start(o); !errors.Is(err, ErrRunning) {
		t.Errorf("second start: %v", err)
	}
	// In the foreground, too, and what the wardens of the first one read stays as it was.
	known := filepath.Join(o.Run, wire.MachineFile)
	had, _ := os.ReadFile(known)
	t.Cleanup(func() { os.WriteFile(known, had, 0o600) })
	if err := os.WriteFile(known, []byte("its own"), 0o600); err != nil {
		t.Fatal(err)
	}
	here := o
	here.Foreground = true
	err := Start(here)
	if b, _ := os.ReadFile(known); err == nil || !strings.Contains(err.Error(), "already runs in "+o.Run) || string(b) != "its own" {
		t.Errorf("second start in the foreground: %v; %s", err, b)
	}
	if err := Stop(o.Run, false); err != nil {
		t.Error(err)
	}
	if s := Look(o.Run); s.Running {
		t.Errorf("after the stop: %+v", s)
	}
	if err := Stop(o.Run, false); err == nil || !strings.Contains(err.Error(), "no engine runs") {
		t.Errorf("second stop: %v", err)
	}
	log, _ := os.ReadFile(filepath.Join(o.Run, "engine.log"))
	if string(log) != "session leader true\n" {
		t.Errorf("the log holds %q", log)
	}
}

func TestTwoStartsAtOnceMakeOneEngine(t *testing.T) {
	o := options(t, "serve")
	results := make(chan error, 2)
	for range 2 {
		go func() { results <- Start(o) }()
	}
	a, b := <-results, <-results
	if (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), ErrRunning) {
		t.Errorf("got %v and %v", a, b)
	}
	if err := Stop(o.Run, false); err != nil {
		t.Error(err)
	}
}

func TestTheReasonOfAFailedStartIsSaid(t *testing.T) {
	o := options(t, "refuse")
	if err := Start(o); err == nil || err.Error() != "kernel 5.10 is older than 6.1" {
		t.Errorf("got %v", err)
	}
	o = options(t, "die")
	if err := Start(o); err == nil || !strings.HasSuffix(err.Error(), "engine.log:\n  panic: something") {
		t.Errorf("got %v", err)
	}
	o.Socket = "/" + strings.Repeat("x", 107)
	if err := Start(o); err == nil || !strings.Contains(err.Error(), "at most 107 bytes") {
		t.Errorf("a long path: %v", err)
	}
	o.Socket, o.Programs = "/x", t.TempDir()
	if err := Start(o); err == nil || !strings.Contains(err.Error(), "install Brig completely") {
		t.Errorf("without a keeper: %v", err)
	}
}

// TestAnotherProcessIsNeverStopped: the pid in the file was given to somebody else since.
func TestAnotherProcessIsNeverStopped(t *testing.T) {
	run := t.TempDir()
	sleeper := exec.Command("sleep", "30")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleeper.Process.Kill(); sleeper.Wait() }()
	for _, text := range []string{
		fmt.Sprintf("%d 12345\n", sleeper.Process.Pid), fmt.Sprintf("%d\n", sleeper.Process.Pid),
		"1 1\n", "-1 0\n", "x y\n", "",
	} {
		if err := os.WriteFile(filepath.Join(run, "keeper.pid"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Stop(run, true); err == nil {
			t.Errorf("%q was stopped", text)
		}
	}
	if err := sleeper.Process.Signal(syscall.Signal(0)); err != nil || startTime(sleeper.Process.Pid) == "" {
		t.Error("the other process is gone")
	}
}

// TestForegroundBecomesTheKeeper: the process itself, so that a service manager watches the right one.
func TestForegroundBecomesTheKeeper(t *testing.T) {
	if dir := os.Getenv("BRIG_TEST_FOREGROUND"); dir != "" {
		run := filepath.Join(dir, "run")
		err := Start(Options{Root: filepath.Join(dir, "root"), Run: run, Socket: filepath.Join(run, "brig.sock"),
			Programs: filepath.Join(dir, "programs"), Foreground: true})
		t.Fatal(err)
	}
	o := options(t, "foreground")
	cmd := exec.Command(os.Args[0], "-test.run=TestForegroundBecomesTheKeeper$")
	cmd.Env = append(os.Environ(), "BRIG_TEST_FOREGROUND="+filepath.Dir(o.Run))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("%v: %s", err, out)
	}
	want := fmt.Sprintf("pid %d, session %s, ready \"\"\n", cmd.Process.Pid, o.Socket)
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// TestWhatOnlyRootCanTellIsNotDenied: for anybody else the file is closed, and that says nothing about the engine.
func TestWhatOnlyRootCanTellIsNotDenied(t *testing.T) {
	if dir := os.Getenv("BRIG_TEST_HIDDEN"); dir != "" {
		s, err := Look(dir), Stop(dir, false)
		if s.Running || !s.Hidden || err == nil || !strings.Contains(err.Error(), "sudo") {
			t.Errorf("got %+v, %v", s, err)
		}
		return
	}
	o := options(t, "")
	// Others walk through what leads to the directory, and find the file closed.
	for dir := o.Run; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		os.Mkdir(dir, 0o755)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(o.Run, "keeper.pid"), []byte("1 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Open("/proc/self/exe") // its directory may be closed to others, too
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run=TestWhatOnlyRootCanTellIsNotDenied$")
	cmd.ExtraFiles, cmd.Dir, cmd.Env = []*os.File{self}, "/", append(os.Environ(), "BRIG_TEST_HIDDEN="+o.Run)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
