package filters

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// oneI386 is a call of 32 bits, and what a container with abi32=allow gets to see of it under the floor alone.
type oneI386 struct {
	name, call string
	args       []uint32
	want       unix.Errno
}

func probesI386() []oneI386 {
	const noProto, noType = unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT
	const bad = ^uint32(0)
	return []oneI386{
		{"getppid", "getppid", nil, 0},
		{"keyctl", "keyctl", []uint32{bad}, unix.EPERM},
		{"bpf", "bpf", []uint32{bad}, unix.EPERM},
		{"io_uring", "io_uring_setup", nil, unix.EPERM},
		{"handle", "open_by_handle_at", []uint32{bad}, unix.EPERM},
		{"clone3", "clone3", nil, unix.ENOSYS},
		{"clone user", "clone", []uint32{unix.CLONE_NEWUSER | unix.CLONE_VM}, unix.EPERM},
		{"unshare user", "unshare", []uint32{unix.CLONE_NEWUSER}, unix.EPERM},
		{"unshare files", "unshare", []uint32{unix.CLONE_FILES}, 0},
		{"setns", "setns", []uint32{bad}, unix.EPERM},
		{"mount", "mount", nil, unix.EPERM},
		{"old umount", "umount", nil, unix.EPERM},
		{"umount", "umount2", nil, unix.EPERM},
		{"modify_ldt", "modify_ldt", []uint32{0}, unix.ENOSYS},
		{"vm86", "vm86", []uint32{0}, unix.EPERM},
		{"stime", "stime", nil, unix.EPERM},
		{"clock_settime64", "clock_settime64", []uint32{bad}, unix.EPERM},
		{"every socket of socketcall", "socketcall", []uint32{1, 0}, unix.ENOSYS},
		{"unix socket", "socket", []uint32{unix.AF_UNIX, unix.SOCK_STREAM}, 0},
		{"alg", "socket", []uint32{unix.AF_ALG, unix.SOCK_SEQPACKET}, unix.EPERM},
		{"packet", "socket", []uint32{unix.AF_PACKET, unix.SOCK_RAW}, unix.EPERM},
		{"raw", "socket", []uint32{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP}, unix.EPERM},
		{"vsock", "socket", []uint32{unix.AF_VSOCK, unix.SOCK_STREAM}, unix.EPERM},
		{"dccp", "socket", []uint32{unix.AF_INET, unix.SOCK_DCCP}, noType},
		{"audit", "socket", []uint32{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, noProto},
		{"tiocsti", "ioctl", []uint32{bad, unix.TIOCSTI}, unix.EPERM},
		{"subvolume of btrfs", "ioctl", []uint32{bad, 0x5000940e}, unix.ENOTTY},
		{"ficlone", "ioctl", []uint32{bad, unix.FICLONE}, unix.EBADF},
		{"personality", "personality", []uint32{bad}, 0},
		{"no randomize", "personality", []uint32{0x40000}, unix.EPERM},
		{"core limit", "setrlimit", []uint32{unix.RLIMIT_CORE, bad}, 0},
		{"core limit by prlimit", "prlimit64", []uint32{0, unix.RLIMIT_CORE, bad}, 0},
		{"core limit, old and new", "prlimit64", []uint32{0, unix.RLIMIT_CORE, bad, bad}, unix.EPERM},
		{"kcmp", "kcmp", []uint32{bad, bad}, unix.EPERM},
		{"semaphores by ipc", "ipc", []uint32{bad}, unix.ENOSYS}, // the kernel's own answer: no such operation
	}
}

func probeI386() {
	out := map[string]unix.Errno{}
	for _, p := range probesI386() {
		number, _ := kernel.Number("i386", p.call)
		out[p.name] = callI386(number, p.args...)
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// TestTheFloorHoldsInBothInstructionSets: what is refused to programs of 64 bits, is to those of 32, which a container was given.
func TestTheFloorHoldsInBothInstructionSets(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: int 0x80, which only amd64 has")
	}
	cmd := child(t, "abi32")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	got := map[string]unix.Errno{}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, p := range probesI386() {
		if got[p.name] != p.want {
			t.Errorf("%s gives %q, want %q", p.name, unix.ErrnoName(got[p.name]), unix.ErrnoName(p.want))
		}
	}
}

// TestTheSecondFloorForgetsNoCall: every call that is refused whole on amd64 is on i386, if that has it.
func TestTheSecondFloorForgetsNoCall(t *testing.T) {
	f := Floor(filter.AMD64, Relax{Compat: true})
	for _, number := range kernel.Calls("amd64") {
		name := kernel.Name("amd64", number)
		other, ok := kernel.Number("i386", name)
		if ok && refuses(&f, number) && !refuses(f.Compat, other) {
			t.Errorf("%s is refused on amd64, and not on i386", name)
		}
	}
}
