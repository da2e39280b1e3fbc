package filters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

const native = filter.Arch(runtime.GOARCH)

// childEnv makes the test binary play a part in another process: filters cannot be taken off again.
const childEnv = "BRIG_SECCOMP_TEST_CHILD"

func TestMain(m *testing.M) {
	switch part := os.Getenv(childEnv); part {
	case "":
		os.Exit(m.Run())
	case "calls":
		runtime.LockOSThread()
		install(Floor(native, Relax{}), Default(native))
		probe()
	case "floor":
		runtime.LockOSThread()
		install(Floor(native, Relax{}))
		probe()
	case "i386":
		runtime.LockOSThread()
		install(Floor(native, Relax{}))
		callI386(20) // getpid
		os.Exit(0)
	case "abi32":
		runtime.LockOSThread()
		install(Floor(native, Relax{Compat: true}))
		probeI386()
	default:
		runtime.LockOSThread()
		install(Floor(native, Relax{}), All(native)[part])
		execute()
	}
}

func install(filters ...filter.Filter) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	for _, f := range filters {
		prog, err := filter.Compile(&f)
		if err != nil {
			panic(err)
		}
		if err := kernel.Load(prog, kernel.LoadFlags); err != nil {
			panic(err)
		}
	}
}

// execute becomes the program at descriptor 3, as a plan does at its end.
func execute() {
	empty, _ := unix.BytePtrFromString("")
	arg0, _ := unix.BytePtrFromString("program")
	argv := []*byte{arg0, nil}
	envp := []*byte{nil}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, 3, uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, 0)
	panic(errno)
}

// probes are calls with arguments that do no harm where they are allowed, and what a container must get to see.
type oneProbe struct {
	name    string
	call    string
	args    [6]uintptr
	floor   unix.Errno // under the floor alone ("unconfined")
	stacked unix.Errno // with the default filter on top
}

func probes() []oneProbe {
	const noProto, noType = unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT
	const anyway = unix.EBADF // the call passes, and fails for its arguments
	bad := ^uintptr(0)
	return []oneProbe{
		{"getppid", "getppid", [6]uintptr{}, 0, 0},
		{"keyctl", "keyctl", [6]uintptr{bad}, unix.EPERM, unix.EPERM},
		{"bpf", "bpf", [6]uintptr{bad}, unix.EPERM, unix.EPERM},
		{"io_uring", "io_uring_setup", [6]uintptr{}, unix.EPERM, unix.EPERM},
		{"handle", "open_by_handle_at", [6]uintptr{bad}, unix.EPERM, unix.EPERM},
		{"clone3", "clone3", [6]uintptr{}, unix.ENOSYS, unix.ENOSYS},
		{"unshare files", "unshare", [6]uintptr{unix.CLONE_FILES}, 0, unix.EPERM},
		{"unshare user", "unshare", [6]uintptr{unix.CLONE_NEWUSER}, unix.EPERM, unix.EPERM},
		{"unshare time", "unshare", [6]uintptr{unix.CLONE_NEWTIME}, unix.EPERM, unix.EPERM},
		{"clone user", "clone", [6]uintptr{unix.CLONE_NEWUSER | unix.CLONE_VM}, unix.EPERM, unix.EPERM},
		{"mount", "mount", [6]uintptr{}, unix.EPERM, unix.EPERM},
		{"open_tree", "open_tree", [6]uintptr{bad}, unix.EPERM, unix.EPERM},
		{"setns", "setns", [6]uintptr{bad}, unix.EPERM, unix.EPERM},
		{"unix socket", "socket", [6]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}, 0, 0},
		{"inet6 socket", "socket", [6]uintptr{unix.AF_INET6, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}, 0, 0},
		{"route", "socket", [6]uintptr{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, 0, 0},
		{"audit", "socket", [6]uintptr{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, noProto, noProto},
		{"netfilter", "socket", [6]uintptr{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, noProto, noProto},
		{"packet", "socket", [6]uintptr{unix.AF_PACKET, unix.SOCK_RAW}, unix.EPERM, unix.EPERM},
		{"raw", "socket", [6]uintptr{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP}, unix.EPERM, unix.EPERM},
		{"raw of IPv6", "socket", [6]uintptr{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6}, unix.EPERM, unix.EPERM},
		{"ping", "socket", [6]uintptr{unix.AF_INET, unix.SOCK_DGRAM}, 0, 0},
		{"alg", "socket", [6]uintptr{unix.AF_ALG, unix.SOCK_SEQPACKET}, unix.EPERM, unix.EPERM},
		{"alg, high bits", "socket", [6]uintptr{1<<32 | unix.AF_ALG, unix.SOCK_SEQPACKET}, unix.EPERM, unix.EPERM},
		{"vsock", "socket", [6]uintptr{unix.AF_VSOCK, unix.SOCK_STREAM}, unix.EPERM, unix.EPERM},
		{"dccp", "socket", [6]uintptr{unix.AF_INET, unix.SOCK_DCCP | unix.SOCK_CLOEXEC}, noType, noType},
		{"tiocsti", "ioctl", [6]uintptr{bad, unix.TIOCSTI}, unix.EPERM, unix.EPERM},
		{"tiocsti, high bits", "ioctl", [6]uintptr{bad, 1<<32 | unix.TIOCSTI}, unix.EPERM, unix.EPERM},
		{"subvolume of btrfs", "ioctl", [6]uintptr{bad, 0x5000940e}, unix.ENOTTY, unix.ENOTTY},
		{"snapshot of btrfs, high bits", "ioctl", [6]uintptr{bad, 1<<32 | 0x50009417}, unix.ENOTTY, unix.ENOTTY},
		{"ficlone", "ioctl", [6]uintptr{bad, unix.FICLONE}, anyway, anyway},
		{"ficlonerange", "ioctl", [6]uintptr{bad, unix.FICLONERANGE}, anyway, anyway},
		{"tiocgwinsz", "ioctl", [6]uintptr{bad, unix.TIOCGWINSZ}, anyway, anyway},
		{"personality", "personality", [6]uintptr{0xffffffff}, 0, 0},
		{"no randomize", "personality", [6]uintptr{0x40000}, unix.EPERM, unix.EPERM},
		{"core limit", "setrlimit", [6]uintptr{unix.RLIMIT_CORE, bad}, 0, 0},
		{"core limit by prlimit", "prlimit64", [6]uintptr{0, 1<<32 | unix.RLIMIT_CORE, bad}, 0, 0},
		{"core limit, old and new", "prlimit64", [6]uintptr{0, unix.RLIMIT_CORE, bad, bad}, unix.EPERM, unix.EPERM},
		{"core limit, asked for", "prlimit64", [6]uintptr{0, unix.RLIMIT_CORE, 0, bad}, unix.EFAULT, unix.EFAULT},
		{"other limit", "prlimit64", [6]uintptr{0, unix.RLIMIT_NOFILE, bad}, unix.EFAULT, unix.EFAULT},
		{"ptrace", "ptrace", [6]uintptr{bad}, unix.ESRCH, unix.ESRCH},
		{"kcmp", "kcmp", [6]uintptr{bad, bad}, unix.EPERM, unix.EPERM},
		{"pidfd_getfd", "pidfd_getfd", [6]uintptr{bad, bad}, unix.EPERM, unix.EPERM},
		{"not yet a call", "", [6]uintptr{}, unix.ENOSYS, unix.ENOSYS},
	}
}

func probe() {
	out := map[string]unix.Errno{}
	for _, p := range probes() {
		nr, _ := kernel.Number(runtime.GOARCH, p.call)
		if p.call == "" {
			nr = 600
		}
		_, _, errno := unix.RawSyscall6(uintptr(nr), p.args[0], p.args[1], p.args[2], p.args[3], p.args[4], p.args[5])
		out[p.name] = errno
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func child(t *testing.T, part string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	return cmd
}

func TestKernelRefusesWhatTheFiltersSay(t *testing.T) {
	for _, part := range []string{"floor", "calls"} {
		cmd := child(t, part)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", part, err, stderr.Bytes())
		}
		got := map[string]unix.Errno{}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		for _, p := range probes() {
			want := p.floor
			if part == "calls" {
				want = p.stacked
			}
			if got[p.name] != want {
				t.Errorf("%s: %s gives %q, want %q", part, p.name, unix.ErrnoName(got[p.name]), unix.ErrnoName(want))
			}
		}
	}
}

// TestOwnProgramsRunUnderTheirFilters builds small programs that do what brigd, brig-store and workers do, and then what only
// an attacker would; see testdata.
func TestOwnProgramsRunUnderTheirFilters(t *testing.T) {
	for _, part := range []string{"worker", "copier", "store", "brigd"} {
		t.Run(part, func(t *testing.T) {
			bin := filepath.Join(t.TempDir(), part)
			build := exec.Command("go", "build", "-o", bin, "./testdata/"+part)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			program, err := os.Open(bin)
			if err != nil {
				t.Fatal(err)
			}
			defer program.Close()
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
			defer ours.Close()
			cmd := child(t, part)
			cmd.Dir = t.TempDir()
			cmd.ExtraFiles = []*os.File{program, theirs}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			if _, err := ours.Write([]byte("job")); err != nil {
				t.Error(err)
			}
			buf := make([]byte, 100)
			n, err := ours.Read(buf)
			if err != nil || string(buf[:n]) != "done" {
				t.Errorf("the program answered %q, %v", buf[:n], err)
			}
			// The last thing that the program does is a call that kills it.
			err = cmd.Wait()
			if err == nil || !strings.Contains(err.Error(), "bad system call") {
				t.Errorf("the program ended with %v, want SIGSYS\n%s", err, out.Bytes())
			}
			if !strings.Contains(out.String(), "everything as expected\n") {
				t.Errorf("the program says:\n%s", out.Bytes())
			}
		})
	}
}

func TestForeignArchitectureKills(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: int 0x80, which only amd64 has")
	}
	err := child(t, "i386").Run()
	if err == nil || !strings.Contains(fmt.Sprint(err), "bad system call") {
		t.Errorf("a 32-bit system call: %v, want SIGSYS", err)
	}
}
