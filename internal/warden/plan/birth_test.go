package plan_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/posture"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/warden/rootfs"
	"github.com/brig-engine/brig/internal/wire"
)

// expect compares what a script wrote.
func expect(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestProcessOneHasItsOwnIdsNamesAndCapabilities(t *testing.T) {
	expect(t, shell(t, `id -u; id -g; hostname; echo $$; cut() { grep "$1" /proc/self/status; }
		cut CapEff; cut CapBnd; cut CapInh; cut CapAmb; cut NoNewPrivs; cut Seccomp:; cut Groups
		head -1 /proc/self/uid_map`),
		strings.Join([]string{"0", "0", "box", "1", "CapEff:\t00000000000405fb", "CapBnd:\t00000000000405fb",
			"CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Groups:\t ",
			"         0 1879048192      65536"}, "\n"))
}

func TestAllNamespacesAreNew(t *testing.T) {
	out := shell(t, "for n in user net mnt pid ipc uts cgroup; do readlink /proc/self/ns/$n; done")
	lines := strings.Fields(out)
	if len(lines) != 7 {
		t.Fatalf("got %q", out)
	}
	for _, l := range lines {
		name, _, _ := strings.Cut(l, ":")
		if ours, err := os.Readlink("/proc/self/ns/" + name); err != nil || ours == l {
			t.Errorf("namespace %s is the host's (%v)", l, err)
		}
	}
}

// CVE-2024-21626: no descriptor of the engine.
func TestOnlyStandardDescriptorsAreOpen(t *testing.T) {
	expect(t, shell(t, "ls /proc/1/fd; true"), "0\n1\n2")
}

func TestNothingOfTheHostIsMounted(t *testing.T) {
	for _, l := range strings.Split(strings.TrimSpace(shell(t, "cat /proc/self/mounts")), "\n") {
		f := strings.Fields(l)
		if len(f) < 4 || !strings.Contains(" overlay tmpfs proc sysfs devpts mqueue ", " "+f[2]+" ") {
			t.Errorf("unexpected mount: %s", l)
			continue
		}
		if !strings.Contains(f[3], "nosuid") {
			t.Errorf("not nosuid: %s", l)
		}
	}
}

func TestMaskedAndReadOnlyPaths(t *testing.T) {
	expect(t, shell(t, `cat /proc/interrupts /proc/timer_list /proc/keys | wc -c
		ls /sys/firmware /proc/acpi 2>/dev/null | grep -v :
		(echo 1 > /proc/sys/vm/drop_caches) 2>/dev/null || echo sys; (echo h > /proc/sysrq-trigger) 2>/dev/null || echo sysrq
		mkdir /sys/x 2>/dev/null || echo sysfs`), "0\n\nsys\nsysrq\nsysfs")
}

func TestReadOnlyRootRefusesWritesButHasItsMountPoints(t *testing.T) {
	expect(t, shell(t, "touch /x 2>/dev/null || echo refused; cat /etc/hosts; touch /dev/shm/x && echo shm",
		func(s *wire.Spec) { s.WritableRoot = false }), "refused\n127.0.0.1 localhost\nshm")
}

// T19: the image of nginx links its logs to /dev/stdout.
func TestStandardOutputCanBeReopenedByAnyUser(t *testing.T) {
	expect(t, shell(t, "id -u; id -G; echo again > /dev/stdout; grep CapEff /proc/self/status", func(s *wire.Spec) {
		s.Process.User = wire.User{UID: 1000, GID: 100, Groups: []uint32{100, 2000}}
	}), "1000\n100 2000\nagain\nCapEff:\t0000000000000000")
}

// T16: the order without no_new_privs ends with the same confinement.
func TestWithoutNoNewPrivilegesTheRestIsTheSame(t *testing.T) {
	for _, uid := range []uint32{0, 1000} {
		want := "CapPrm:\t00000000000405fb\nCapEff:\t00000000000405fb\nCapBnd:\t00000000000405fb\nNoNewPrivs:\t0\nSeccomp:\t2"
		if uid != 0 {
			want = strings.ReplaceAll(want, "Prm:\t00000000000405fb\nCapEff:\t00000000000405fb",
				"Prm:\t0000000000000000\nCapEff:\t0000000000000000")
		}
		expect(t, shell(t, "grep -E 'CapPrm|CapEff|CapBnd|NoNew|Seccomp:' /proc/self/status", func(s *wire.Spec) {
			s.Process.AllowNewPrivileges, s.Process.User.UID = true, uid
		}), want)
	}
}

func TestTerminalIsTheContainersOwn(t *testing.T) {
	s := spec("sh", "-c", "tty; readlink /proc/self/fd/0; test -c /dev/console && echo via console > /dev/console; "+
		"echo via tty > /dev/tty; ls /dev/pts")
	s.Process.Terminal = true
	b := prepare(t, image(t), s)
	_, _, err := b.run(t)
	must(t, err)
	expect(t, b.terminal(t), "/dev/pts/0\n/dev/pts/0\nvia console\nvia tty\n0     ptmx")
}

// The errors that a shell, and Docker, tell apart.
func TestFailuresNameTheProgramAndTheReason(t *testing.T) {
	tests := []struct {
		args []string
		cwd  string
		sort calls.Sort
		want error
	}{
		{args: []string{"nowhere"}, sort: calls.NotFound, want: unix.ENOENT},
		{args: []string{"/nowhere/at/all"}, sort: calls.NotFound, want: unix.ENOENT},
		{args: []string{"text"}, sort: calls.NotExecutable, want: unix.EACCES},
		{args: []string{"/etc"}, sort: calls.NotExecutable, want: unix.EACCES},
		{args: []string{"/bin/garbage"}, sort: calls.NotExecutable, want: unix.ENOEXEC},
		{args: []string{"/proc/self/exe"}, sort: calls.NotExecutable, want: unix.ELOOP}, // CVE-2019-5736
		{args: []string{"/proc/self/fd/3"}, sort: calls.NotExecutable, want: unix.ELOOP},
		{args: []string{"true"}, cwd: "/proc/self/fd/8", sort: calls.Engine, want: unix.ELOOP}, // CVE-2024-21626
		{args: []string{"true"}, cwd: "/proc/self/cwd", sort: calls.Engine, want: unix.ELOOP},
		{args: []string{"true"}, cwd: "/etc/text", sort: calls.Engine, want: unix.ENOTDIR},
	}
	root := image(t)
	must(t, os.WriteFile(filepath.Join(root, "bin/text"), []byte("echo"), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "etc/text"), []byte("echo"), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "bin/garbage"), []byte("\x00\x01garbage"), 0o755))
	for _, test := range tests {
		s := spec(test.args...)
		if test.cwd != "" {
			s.Process.Cwd = test.cwd
		}
		_, _, err := prepare(t, root, s).run(t)
		var step *plan.StepError
		if !errors.As(err, &step) || !errors.Is(err, test.want) || step.Sort != test.sort {
			t.Errorf("%v in %q: %v (%+v), want %v", test.args, test.cwd, err, step, test.want)
		}
	}
}

func TestScriptsAndRelativeProgramsRun(t *testing.T) {
	root := image(t)
	must(t, os.WriteFile(filepath.Join(root, "home/user/run.sh"), []byte("#!/bin/sh\necho $0 $1; pwd\n"), 0o755))
	for name, want := range map[string]string{"./run.sh": "./run.sh x", "/home/user/run.sh": "/home/user/run.sh x"} {
		s := spec(name, "x")
		s.Process.Cwd = "/home/user"
		out, _, err := prepare(t, root, s).run(t)
		must(t, err)
		expect(t, out, want+"\n/home/user")
	}
}

// The checked path is executed where a descriptor would give the process a wrong name.
func TestExecutionByPathBefore614(t *testing.T) {
	for byFD, want := range map[bool]string{true: "sh", false: "sh"} {
		b := prepare(t, image(t), spec("sh", "-c", "cat /proc/1/comm; readlink /proc/1/exe"))
		b.in.ExecByFD = byFD
		out, _, err := b.run(t)
		must(t, err)
		if !strings.HasPrefix(out, want+"\n") {
			t.Errorf("by descriptor %v: name %q", byFD, out)
		}
	}
}

// CVE-2026-41579, CVE-2026-47766: the image cannot say where /proc, /sys and /dev are.
func TestImageWithLinkedSystemDirectoriesIsRefused(t *testing.T) {
	for _, name := range []string{"proc", "sys", "dev"} {
		root := image(t)
		must(t, os.Remove(filepath.Join(root, name)))
		must(t, os.Symlink("/tmp", filepath.Join(root, name)))
		_, _, err := prepare(t, root, spec("true")).run(t)
		if !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), "/"+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMissingSystemDirectoriesAreMade(t *testing.T) {
	root := image(t)
	for _, name := range []string{"proc", "sys", "dev", "etc"} {
		must(t, os.RemoveAll(filepath.Join(root, name)))
	}
	out, _, err := prepare(t, root, spec("sh", "-c", "echo $$; cat /etc/hosts; pwd", "x")).run(t)
	must(t, err)
	expect(t, out, "1\n127.0.0.1 localhost\n/")
}

// CVE-2021-30465: links of the image lead nowhere outside of the root.
func TestLinkedMountTargetsStayInside(t *testing.T) {
	root, outside := image(t), t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(root, "abs")))
	must(t, os.Symlink("../../../../../../../../"+outside, filepath.Join(root, "rel")))
	must(t, os.MkdirAll(filepath.Join(root, outside), 0o755))
	must(t, os.Symlink("/nowhere", filepath.Join(root, "etc/dangling")))
	s := spec("sh", "-c", "cat /abs/deep/er/f /rel/deep2/f /etc/dangling; ls -d "+outside+"/*")
	s.Files = append(s.Files, wire.File{Path: "/abs/deep/er/f", Content: "1\n"},
		wire.File{Path: "/rel/deep2/f", Content: "2\n"}, wire.File{Path: "/etc/dangling", Content: "3\n"})
	out, _, err := prepare(t, root, s).run(t)
	must(t, err)
	expect(t, out, "1\n2\n3\n"+outside+"/deep\n"+outside+"/deep2")
	if list, err := os.ReadDir(outside); err != nil || len(list) != 0 {
		t.Errorf("outside of the root: %v %v", list, err)
	}
}

func TestTargetsOverProcAndSysAreRefused(t *testing.T) {
	for _, target := range []string{"/proc", "/proc/self", "/sys/fs", "/a/../proc", "relative", "/", "/a//b", "/a\x00b"} {
		s := spec("true")
		s.Mounts = []wire.Mount{{Kind: wire.MountTmpfs, Target: target}}
		if p, err := plan.Birth(plan.Input{Spec: s}); err == nil {
			t.Errorf("mount on %q: %s", target, p.Title)
		}
	}
}

func TestVolumeTmpfsAndSysctl(t *testing.T) {
	s := spec("sh", "-c", "stat -c %u:%g /data /data/f; touch /data/new; touch /ro/x 2>/dev/null || echo ro; "+
		"grep ' /scratch ' /proc/mounts; cat /proc/sys/kernel/msgmax; chmod 4755 /data/new; id -u")
	s.Mounts = []wire.Mount{{Kind: wire.MountVolume, Target: "/data", Writable: true},
		{Kind: wire.MountVolume, Target: "/ro"},
		{Kind: wire.MountTmpfs, Target: "/scratch", Writable: true}}
	s.Sysctl = map[string]string{"kernel.msgmax": "4242"}
	b := prepare(t, image(t), s)
	volume := t.TempDir()
	must(t, os.WriteFile(filepath.Join(volume, "f"), nil, 0o644))
	must(t, os.Chown(volume, idmap.VolumeBase, idmap.VolumeBase))
	must(t, os.Chown(filepath.Join(volume, "f"), idmap.VolumeBase+999, idmap.VolumeBase+999))
	user, err := idmap.NewUserns(idmap.Volume(base), idmap.Volume(base))
	must(t, err)
	defer unix.Close(user)
	dir, err := unix.Open(volume, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(dir)
	for _, name := range []string{"mount0", "mount1"} {
		b.fds[name], err = rootfs.Idmap(dir, user, false)
		must(t, err)
	}
	b.fds["mount2"], err = rootfs.Tmpfs(1<<20, 0o1777, base, base, "")
	must(t, err)
	out, _, err := b.run(t)
	must(t, err)
	expect(t, out, "0:0\n999:999\nro\ntmpfs /scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,uid=1879048192,"+
		"gid=1879048192 0 0\n4242\n0")
	var raw unix.Stat_t
	must(t, unix.Stat(filepath.Join(volume, "new"), &raw))
	if raw.Uid != idmap.VolumeBase {
		t.Errorf("owner on disk %#x", raw.Uid)
	}
}

func TestWithoutANetworkThereIsLoopback(t *testing.T) {
	expect(t, shell(t, "cat /sys/class/net/lo/operstate; ls /sys/class/net; "+
		"grep -c 00000000000000000000000000000001 /proc/net/if_inet6;"+
		"cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "unknown\nlo\n1\n0")
}

// The limits are the program's, and do not hold up what comes before: a birth has more than five descriptors.
func TestLimitsAreTheProgramsAlone(t *testing.T) {
	b := prepare(t, image(t), spec("sh", "-c", "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj"))
	b.in.Limits = plan.Limits{OOMScoreAdj: "77",
		Resources: []plan.Limit{{Kind: unix.RLIMIT_NOFILE, Soft: 5, Hard: 12}}}
	out, _, err := b.run(t)
	must(t, err)
	expect(t, out, "5\n12\n77")
}

// Where the engine may not raise a limit the birth says so; where it may, the program has it.
func TestHardLimitIsRaisedFirst(t *testing.T) {
	var have unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_SIGPENDING, &have))
	b := prepare(t, image(t), spec("sh", "-c", "while read -r l; do case $l in *pending*) echo $l; esac; done < /proc/self/limits"))
	b.in.Limits.Resources = []plan.Limit{{Name: "sigpending", Kind: unix.RLIMIT_SIGPENDING, Soft: have.Cur, Hard: have.Max + 1, Raise: true}}
	out, _, err := b.run(t)
	if set, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0); set == 1 {
		must(t, err)
		expect(t, out, fmt.Sprintf("Max pending signals %d %d signals", have.Cur, have.Max+1))
	} else if err == nil || !strings.HasPrefix(err.Error(), "raise the limit sigpending to ") {
		t.Errorf("got %v", err)
	}
}

func TestErrorAtTheGateEndsTheChild(t *testing.T) {
	b := prepare(t, image(t), spec("true"))
	pid := 0
	b.atGate = func(p int) error { pid = p; return unix.EBUSY }
	if _, _, err := b.run(t); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("got %v", err)
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Fatalf("the child is still there: %v", err)
	}
}

const postureScript = `umask
	grep -E 'Sig(Blk|Ign|Cgt)|Cpus_allowed_list|Mems_allowed_list|THP|NoNew|Groups' /proc/self/status
	cat /proc/self/timerslack_ns /proc/1/personality 2>/dev/null; head -1 /proc/1/oom_score_adj; ps -o pid,nice 2>/dev/null
	echo dumped $(cat /proc/self/coredump_filter)
	cat /proc/1/stat | { read -r a b c d e f g h i j k l m n o p q r s rest; echo session $f pgrp $e prio $r nice $s
		set -- $rest; shift 21; echo policy $1; }`

// T15: a container does not show who started the engine. The test executes itself with everything that is inherited spoiled,
// and once more as brig engine start executes the keeper.
func TestPostureDoesNotDependOnTheParent(t *testing.T) {
	switch os.Getenv("BRIG_POSTURE") {
	case "hostile":
		must(t, os.Setenv("BRIG_POSTURE", "launch"))
		spoil(t)
		must(t, unix.Exec(os.Args[0], os.Args, os.Environ()))
	case "launch":
		must(t, os.Setenv("BRIG_POSTURE", os.Getenv("BRIG_POSTURE_FILE")))
		runtime.LockOSThread()
		must(t, posture.Set())
		must(t, unix.Exec(os.Args[0], os.Args, os.Environ()))
	case "":
	default:
		must(t, os.WriteFile(os.Getenv("BRIG_POSTURE"), []byte(shell(t, postureScript)), 0o644))
		return
	}
	born := func(parent string) string {
		file := filepath.Join(t.TempDir(), "posture")
		cmd := exec.Command(os.Args[0], "-test.run=^TestPostureDoesNotDependOnTheParent$")
		cmd.Env = append(os.Environ(), "BRIG_POSTURE="+parent, "BRIG_POSTURE_FILE="+file)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		out, err := os.ReadFile(file)
		must(t, err)
		return string(out)
	}
	out := born("launch") // who runs the test may have been started by nice, which is no friendly parent
	if other := born("hostile"); other != out {
		t.Errorf("born of a friendly parent:\n%s\nof a hostile one:\n%s", out, other)
	}
	for _, want := range []string{"0022\n", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "nice 0", "dumped 00000033",
		"policy 0", "50000\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("posture lacks %q:\n%s", want, out)
		}
	}
}

// spoil gives this thread, which goes on to execute, what no container may inherit.
func spoil(t *testing.T) {
	runtime.LockOSThread()
	must(t, os.WriteFile("/proc/self/coredump_filter", []byte("0x1"), 0))
	unix.Umask(0o077)
	must(t, unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: 7}, 0))
	var first unix.CPUSet
	first.Set(0)
	must(t, unix.SchedSetaffinity(0, &first))
	must(t, unix.Prctl(unix.PR_SET_TIMERSLACK, 1000000, 0, 0, 0))
	must(t, unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0))
	const addrNoRandomize, sigIgn = 0x0040000, 1
	if _, _, errno := unix.Syscall(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	every, ignore := ^uint64(0), [4]uint64{sigIgn}
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, 2, uintptr(unsafe.Pointer(&every)), 0, 8, 0, 0)
	for signal := uintptr(1); signal <= 64; signal++ {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
	}
}

// Without a directory to search there is no plan, but the answer is that of a program that is nowhere.
func TestNoPathIsNoProgram(t *testing.T) {
	for _, env := range [][]string{nil, {"PATH="}, {"PATH=bin:./sbin"}} {
		s := spec("true")
		s.Process.Env = env
		_, err := plan.Birth(plan.Input{Spec: s})
		var step *plan.StepError
		if !errors.As(err, &step) || step.Sort != calls.NotFound || !errors.Is(err, unix.ENOENT) {
			t.Errorf("%q: got %v", env, err)
		}
	}
}

// The list for a missing mount point grows with the square of its depth.
func TestDepthOfAPathIsBounded(t *testing.T) {
	for depth, ok := range map[int]bool{128: true, 129: false} {
		s := &wire.Spec{Process: wire.Process{Args: []string{"true"}, Env: []string{"PATH=/bin"}, Cwd: "/"}}
		s.Mounts = []wire.Mount{{Kind: wire.MountTmpfs, Target: strings.Repeat("/a", depth)}}
		_, err := plan.Birth(plan.Input{Spec: s})
		if (err == nil) != ok || !ok && !errors.Is(err, unix.ENAMETOOLONG) {
			t.Errorf("%d directories: %v", depth, err)
		}
	}
}
