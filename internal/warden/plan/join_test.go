package plan_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// running starts a container that sleeps and returns its process 1.
func running(t testing.TB, changes ...func(*wire.Spec)) (pid, fd int) {
	t.Helper()
	s := spec("sleep", "30")
	for _, c := range changes {
		c(s)
	}
	b := prepare(t, image(t), s)
	pid, fd, err := b.start(t)
	must(t, err)
	b.out.Close()
	t.Cleanup(func() {
		_ = pidfd.Signal(fd, unix.SIGKILL)
		_, _ = pidfd.Wait(fd, false)
		unix.Close(fd)
	})
	return pid, fd
}

// join executes a script in the container of process 1 and returns what it wrote. With atGate it waits, as a birth does, before
// it is confined.
func join(t testing.TB, pid1 int, p wire.Process, atGate func(pid int) error) string {
	t.Helper()
	b := &box{fds: map[string]int{}}
	b.stdio(t, &wire.Spec{Process: p})
	b.fds["pid1"], b.fds["landlock"] = pid1, landlock(t)
	plan1, err := plan.Join(&p, new(host(t)))
	must(t, err)
	if atGate != nil {
		last := slices.IndexFunc(plan1.Ops, func(o *plan.Op) bool { return o.What == "set no_new_privs" })
		plan1.Ops = slices.Insert(plan1.Ops, last, &plan.Op{Nr: unix.SYS_READ, Kind: clone.Gate,
			Args: []any{plan.Ref("<sync>"), []byte{0}, 1}})
	}
	_, fd, err := calls.Start(plan1, b.fds, child(t, 0), atGate)
	for name, fd := range b.fds {
		if name != "pid1" {
			unix.Close(fd)
		}
	}
	must(t, err)
	defer unix.Close(fd)
	var out bytes.Buffer
	_ = b.out.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = io.Copy(&out, b.out)
	b.out.Close()
	if err != nil {
		_ = pidfd.Signal(fd, unix.SIGKILL)
	}
	if _, err := pidfd.Wait(fd, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestExecJoinsEveryNamespaceWithTheSameConfinement(t *testing.T) {
	pid, fd := running(t)
	p := spec("sh", "-c", `for n in user net mnt pid ipc uts cgroup; do readlink /proc/self/ns/$n; done
		id -u; ls /proc/self/fd; grep -E 'CapEff|CapBnd|NoNew|Seccomp:' /proc/self/status
		cat /proc/self/cgroup | grep -v ':/$'`).Process
	out := join(t, fd, p, nil)
	var want strings.Builder
	for _, n := range strings.Fields("user net mnt pid ipc uts cgroup") {
		l, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, n))
		must(t, err)
		want.WriteString(l + "\n")
	}
	expect(t, out, want.String()+
		"0\n0\n1\n2\n3\nCapEff:\t00000000000405fb\nCapBnd:\t00000000000405fb\nNoNewPrivs:\t1\nSeccomp:\t2")
}

func TestExecAsUserInADirectory(t *testing.T) {
	_, fd := running(t)
	p := spec("sh", "-c", "id -u; pwd; echo x > /dev/stdout; touch /proc/1/x 2>/dev/null; umask").Process
	p.User, p.Cwd = wire.User{UID: 1000, GID: 1000}, "/home/user"
	expect(t, join(t, fd, p, nil), "1000\n/home/user\nx\n0022")
}

func TestExecDoesNotMakeItsWorkingDirectory(t *testing.T) {
	_, fd := running(t)
	p := spec("true").Process
	p.Cwd = "/missing"
	pl, err := plan.Join(&p, new(plan.Host{LastCap: 40, ExecByFD: true}))
	must(t, err)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	fds := map[string]int{"pid1": fd, "stdin": null, "stdout": null, "stderr": null}
	_, _, err = calls.Start(pl, fds, child(t, 0), nil)
	if err == nil || err.Error() != "enter the working directory /missing: no such file or directory" {
		t.Fatalf("got %v", err)
	}
}

// T13, A5: until its execve a joining process is a copy of the warden. The container's root, with every capability
// there and no filter, must not be able to read it. The control is process 1, which can be read.
func TestJoiningProcessIsUnreadable(t *testing.T) {
	_, fd := running(t)
	spy := spec("sh", "-c", `for p in /proc/[0-9]*; do
		case $(readlink $p/exe) in /bin/*) echo readable;; "") echo hidden;; *) echo engine;; esac
		head -c 1 $p/environ >/dev/null 2>&1 || echo no environ; cat $p/maps 2>/dev/null | wc -l | grep '^0$'; done`).Process
	all := uint64(1)<<(unix.CAP_LAST_CAP+1) - 1
	spy.Capabilities = wire.Capabilities{Bounding: all, Permitted: all}
	spy.NoLandlock = true
	seen := ""
	victim := spec("true").Process
	join(t, fd, victim, func(int) error {
		seen = join(t, fd, spy, nil)
		return nil
	})
	if strings.Contains(seen, "engine") || strings.Count(seen, "hidden") != 1 || !strings.Contains(seen, "readable") {
		t.Fatalf("the spy saw:\n%s", seen)
	}
}

// T17: a process that was executed inside cannot trace process 1 unless Landlock is left out.
func TestLandlockSeparatesExecFromProcessOne(t *testing.T) {
	_, fd := running(t)
	p := spec("sh", "-c", "readlink /proc/1/exe || echo refused; kill -0 1 && echo signal").Process
	expect(t, join(t, fd, p, nil), "refused\nsignal")
}

// The view of cgroups begins at the container's own, because the namespace is made after the cgroup was entered (T14).
func TestCgroupViewBeginsAtTheContainer(t *testing.T) {
	dir := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(dir + "/tasks"); err != nil {
		t.Skip("missing: a cgroup v1 pids hierarchy")
	}
	dir = filepath.Join(dir, fmt.Sprintf("brig-test-%d", os.Getpid()))
	must(t, os.Mkdir(dir, 0o755))
	t.Cleanup(func() { removeSoon(dir) })
	s := spec("sh", "-c", "grep pids: /proc/self/cgroup")
	b := prepare(t, image(t), s)
	var err error
	b.fds["tasks0"], err = unix.Open(dir+"/tasks", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	b.in.Tasks = 1
	var inside []byte
	b.atGate = func(pid int) (err error) {
		inside, err = os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		return err
	}
	out, _, err := b.run(t)
	must(t, err)
	if _, path, _ := strings.Cut(out, "pids:"); path != "/\n" {
		t.Errorf("the container sees %q", out)
	}
	if !strings.Contains(string(inside), filepath.Base(dir)) {
		t.Errorf("the host sees %s", inside)
	}
}

// memfd makes a sealed copy of a program, as the engine executes its own.
func memfd(t testing.TB, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	must(t, err)
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		must(t, err)
		b = b[n:]
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	must(t, err)
	return fd
}

// service runs a script of busybox as one of the engine's processes; descriptor 3 is where it writes.
func service(t testing.TB, script string, in plan.ServiceInput, fds map[string]int) string {
	t.Helper()
	root := image(t)
	r, w, err := os.Pipe()
	must(t, err)
	in.Args, in.FDs, in.Host = []string{"sh", "-c", script}, 2, host(t)
	fds["exe"], fds["landlock"] = memfd(t, filepath.Join(root, "bin/busybox")), landlock(t)
	fds["fd0"], fds["fd1"] = int(w.Fd()), int(w.Fd())
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	fds["stdin"], fds["stdout"], fds["stderr"] = null, null, null
	p, err := plan.Service(in)
	must(t, err)
	_, fd, err := calls.Start(p, fds, child(t, 0), nil)
	w.Close()
	for _, name := range []string{"exe", "landlock", "stdin"} {
		unix.Close(fds[name])
	}
	must(t, err)
	defer unix.Close(fd)
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
	out, err := io.ReadAll(r)
	r.Close()
	if err != nil {
		_ = pidfd.Signal(fd, unix.SIGKILL)
	}
	_, waitErr := pidfd.Wait(fd, false)
	must(t, waitErr)
	must(t, err)
	return string(out)
}

func TestWorkerHasNothing(t *testing.T) {
	ids := idmap.Extent{Inside: 1, Outside: 0x7ffd0002, Size: 1}
	user, err := idmap.NewUserns(ids, ids)
	must(t, err)
	defer unix.Close(user)
	out := service(t, `exec >&3 2>&1; echo $$; for f in /*; do echo "$f"; done; (echo x > /x) || :; echo x >&4
		for n in 5 6 7 8 9 10 20 63 128 129 130; do (echo leak $n >&$n) 2>/dev/null; done; type readlink || :`,
		plan.ServiceInput{UID: 1, GID: 1, Worker: true}, map[string]int{"userns": user})
	if !strings.HasPrefix(out, "1\n/*\n") || !strings.Contains(out, "Read-only file system") ||
		!strings.Contains(out, "x\n") || strings.Contains(out, "leak") {
		t.Fatalf("got:\n%s", out)
	}
}

func TestDaemonHasAnIdAndNoCapability(t *testing.T) {
	out := service(t, `exec >&3 2>&1; while read -r l; do case $l in Uid*|Gid*|Cap*|NoNew*|Groups*|Seccomp:*) echo $l
		esac; done < /proc/self/status; cd .; pwd`, plan.ServiceInput{UID: 0x7ffd0001, GID: 0x7ffd0001}, map[string]int{})
	zero := ":\t0000000000000000"
	for _, want := range []string{"Uid: 2147287041 2147287041 2147287041 2147287041", "Groups:", "CapEff" + zero,
		"CapPrm" + zero, "CapBnd" + zero, "CapInh" + zero, "NoNewPrivs: 1", "Seccomp: 2", "/\n"} {
		if !strings.Contains(out, strings.ReplaceAll(want, "\t", " ")) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

// The speed that the hot path is built for; the budget of design 11 is the sum of more than this.
func BenchmarkBirthToExit(b *testing.B) {
	root := image(b)
	for b.Loop() {
		b.StopTimer()
		c := prepare(b, root, spec("true"))
		b.StartTimer()
		_, fd, err := c.start(b)
		must(b, err)
		_, err = pidfd.Wait(fd, false)
		must(b, err)
		b.StopTimer()
		unix.Close(fd)
		c.out.Close()
		b.StartTimer()
	}
}

func BenchmarkExec(b *testing.B) {
	_, fd := running(b)
	p := spec("true").Process
	for b.Loop() {
		join(b, fd, p, nil)
	}
}

func BenchmarkPlanAndLower(b *testing.B) {
	s := spec("true")
	for b.Loop() {
		p, err := plan.Birth(plan.Input{Spec: s, Host: goldenHost()})
		must(b, err)
		_, err = p.Link()
		must(b, err)
	}
}
