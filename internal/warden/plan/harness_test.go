package plan_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/machine"
	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
	ll "github.com/brig-engine/brig/internal/kernel/landlock"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/kernel/pty"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/warden/rootfs"
	"github.com/brig-engine/brig/internal/wire"
)

// base of the id range of test containers.
const base = 0x70000000

// dockerCaps are Docker's default capabilities without NET_RAW, MKNOD, AUDIT_WRITE and SETFCAP.
const dockerCaps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FSETID | 1<<unix.CAP_FOWNER |
	1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_KILL

// The first thread is the process in /proc/self, and must not be the one that visits a namespace and ends there, which
// the first one cannot: the warden holds it in the same way.
func TestMain(m *testing.M) {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		fmt.Fprintln(os.Stderr, "the tests did not begin on the first thread")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// image is a directory tree with busybox and its names.
func image(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("missing: a static busybox")
	}
	root := t.TempDir()
	for _, d := range []string{"bin", "etc", "proc", "sys", "dev", "tmp", "home/user"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("sh true cat ls id stat mount readlink touch echo sleep grep hostname kill " +
		"mkdir ps tty stty env head wc chmod sed sort umask mknod") {
		if err := os.Link(filepath.Join(root, "bin/busybox"), filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// spec of a shell command, with the engine's defaults.
func spec(args ...string) *wire.Spec {
	return &wire.Spec{
		Hostname: "box", WritableRoot: true,
		Process: wire.Process{
			Args: args, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: "/",
			Capabilities: wire.Capabilities{Bounding: dockerCaps, Permitted: dockerCaps},
		},
		MaskedPaths: []string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
			"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
			"/sys/devices/virtual/powercap", "/proc/interrupts"},
		ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		Files:         []wire.File{{Path: "/etc/hosts", Content: "127.0.0.1 localhost\n"}},
	}
}

// permissive is a filter that allows everything: what is tested is that it is loaded.
func permissive(t testing.TB) plan.Filter {
	t.Helper()
	return assemble(t, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}

// assemble makes a filter of instructions.
func assemble(t testing.TB, instructions ...bpf.Instruction) plan.Filter {
	t.Helper()
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		t.Fatal(err)
	}
	f := plan.Filter{Name: "test"}
	for _, in := range raw {
		f.Code = append(binary.NativeEndian.AppendUint16(f.Code, in.Op), in.Jt, in.Jf)
		f.Code = binary.NativeEndian.AppendUint32(f.Code, in.K)
	}
	return f
}

func host(t testing.TB) plan.Host {
	return plan.Host{Filters: []plan.Filter{permissive(t)}, Landlock: true, LastCap: unix.CAP_LAST_CAP, ExecByFD: true}
}

// landlock makes a ruleset that handles making device nodes and allows it nowhere.
func landlock(t testing.TB) int {
	t.Helper()
	abi := ll.ABI(machine.Landlock())
	if abi == 0 {
		t.Skip("missing: Landlock")
	}
	fd, err := ll.Create(abi, ll.Ruleset{FS: unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR})
	must(t, err)
	return fd
}

// removeSoon removes a cgroup when its last process is gone.
func removeSoon(dir string) {
	for range 100 {
		if os.Remove(dir) == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// box is what a container is made from; close frees it.
type box struct {
	in     plan.Input
	fds    map[string]int
	master int
	out    *os.File // what the container wrote, without a terminal
	cgroup int      // of cgroup v2
	atGate func(pid int) error
}

// child is one that waits for its list.
func child(t testing.TB, cgroup int) *clone.Child {
	t.Helper()
	return clone.NewChild(cgroup)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prepare makes the descriptors for a container of image root.
func prepare(t testing.TB, root string, s *wire.Spec) *box {
	t.Helper()
	b := &box{in: plan.Input{Spec: s, Host: host(t)}, fds: map[string]int{}, master: -1}
	add := func(name string) func(fd int, err error) {
		return func(fd int, err error) {
			t.Helper()
			must(t, err)
			b.fds[name] = fd
		}
	}
	user, net, route, err := idmap.NewSandbox(base, 0)
	must(t, err)
	unix.Close(route)
	b.fds["userns"], b.fds["netns"] = user, net
	tree, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	lower, err := rootfs.Idmap(tree, user, false)
	must(t, err)
	unix.Close(tree)
	dirs := t.TempDir()
	must(t, os.Chmod(dirs, 0o755))
	var layers [2]int
	for i, name := range []string{"upper", "work"} {
		d := filepath.Join(dirs, name)
		must(t, os.Mkdir(d, 0o755))
		must(t, os.Chown(d, base, base))
		layers[i], err = unix.Open(d, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
	}
	add("root")(rootfs.Overlay(lower, layers[0], layers[1], true, "", ""))
	unix.Close(lower)
	unix.Close(layers[0])
	unix.Close(layers[1])
	add("own")(rootfs.Own(base, ""))
	add("pts")(rootfs.Pts(base, ""))
	add("sys")(rootfs.Sys(net))
	add("shm")(rootfs.Tmpfs(64<<20, 0o1777, base, base, ""))
	must(t, rootfs.Files(b.fds["own"], s.Files, base))
	b.fds["landlock"] = landlock(t)
	b.stdio(t, s)
	return b
}

func (b *box) stdio(t testing.TB, s *wire.Spec) {
	t.Helper()
	if s.Process.Terminal {
		master, slave, err := pty.Open(b.fds["pts"])
		must(t, err)
		must(t, unix.Fchown(slave, int(base+s.Process.User.UID), base+5))
		b.master, b.fds["tty"] = master, slave
		return
	}
	r, w, err := os.Pipe()
	must(t, err)
	must(t, w.Chown(int(base+s.Process.User.UID), int(base+s.Process.User.GID)))
	b.out = r
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	dup := func() int {
		fd, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		return fd
	}
	b.fds["stdin"], b.fds["stdout"], b.fds["stderr"] = null, dup(), dup()
	w.Close()
}

// terminal reads what a container that has ended wrote to its terminal: the kernel brings it to the master a moment
// later, and EIO after it.
func (b *box) terminal(t testing.TB) string {
	t.Helper()
	defer unix.Close(b.master)
	var text []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(b.master, buf)
		if errors.Is(err, unix.EIO) {
			return strings.ReplaceAll(string(text), "\r", "")
		}
		if !errors.Is(err, unix.EINTR) {
			must(t, err)
			text = append(text, buf[:n]...)
		}
	}
}

// start gives birth and frees what the parent does not need.
func (b *box) start(t testing.TB) (pid, fd int, err error) {
	t.Helper()
	p, err := plan.Birth(b.in)
	if err == nil {
		pid, fd, err = calls.Start(p, b.fds, child(t, b.cgroup), b.atGate)
	}
	for _, fd := range b.fds {
		unix.Close(fd)
	}
	return pid, fd, err
}

// run is start, and waits for the end. It returns all output and the status.
func (b *box) run(t testing.TB) (string, pidfd.Status, error) {
	t.Helper()
	_, fd, err := b.start(t)
	if err != nil {
		if b.out != nil {
			b.out.Close()
		}
		return "", pidfd.Status{}, err
	}
	defer unix.Close(fd)
	var out bytes.Buffer
	if b.out != nil {
		_ = b.out.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = io.Copy(&out, b.out)
		b.out.Close()
		if err != nil {
			_ = pidfd.Signal(fd, unix.SIGKILL)
		}
	}
	status, waitErr := pidfd.Wait(fd, false)
	must(t, waitErr)
	return out.String(), status, err
}

// shell runs a script in a new container with changes to its spec and returns what it wrote.
func shell(t testing.TB, script string, changes ...func(*wire.Spec)) string {
	t.Helper()
	s := spec("sh", "-c", script)
	for _, c := range changes {
		c(s)
	}
	out, status, err := prepare(t, image(t), s).run(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if status.ExitCode() != 0 {
		out += fmt.Sprintf("[exit %d]", status.ExitCode())
	}
	return out
}
