package landlock

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/machine"
)

func TestStructuresHaveTheKernelsLayout(t *testing.T) {
	if n := unsafe.Sizeof(Ruleset{}); n != 24 {
		t.Errorf("Ruleset has %d bytes", n)
	}
	p := beneath(0x1122334455667788, -2)
	if binary.NativeEndian.Uint64(p[:]) != 0x1122334455667788 || binary.NativeEndian.Uint32(p[8:]) != 0xfffffffe {
		t.Errorf("beneath: % x", p)
	}
}

func TestRulesetNeverHoldsWhatTheKernelDoesNotKnow(t *testing.T) {
	for abi, want := range map[ABI]Ruleset{
		0: {}, 1: {FS: 0x1fff}, 2: {FS: 0x3fff}, 3: {FS: 0x7fff}, 4: {0x7fff, 3, 0}, 5: {0xffff, 3, 0}, 6: {0xffff, 3, 3},
		7: {0xffff, 3, 3}, 99: {0xffff, 3, 3},
	} {
		if got := Everything(abi); got != want {
			t.Errorf("ABI %d: %x, want %x", abi, got, want)
		}
	}
}

// confined runs f in a thread that the domain of r and of the rules has taken; the thread dies with it.
func confined(t *testing.T, allow func(t *testing.T, ruleset int), f func(t *testing.T)) {
	t.Helper()
	abi := ABI(machine.Landlock())
	if abi < 6 {
		t.Skip("missing: Landlock ABI 6")
	}
	fd, err := Create(abi, Everything(abi))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	allow(t, fd)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			t.Error(err)
			return
		}
		if err := RestrictSelf(fd); err != nil {
			t.Error(err)
			return
		}
		f(t)
	}()
	<-done
}

func TestDomainAllowsOnlyWhatRulesName(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	for _, d := range []string{in, out} {
		if err := os.WriteFile(filepath.Join(d, "f"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	confined(t, func(t *testing.T, ruleset int) {
		if err := Allow(ruleset, Read, in); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T) {
		if fd, err := unix.Open(filepath.Join(in, "f"), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			t.Errorf("read what a rule allows: %v", err)
		} else {
			unix.Close(fd)
		}
		for name, flags := range map[string]int{
			filepath.Join(out, "f"):  unix.O_RDONLY,
			filepath.Join(in, "f"):   unix.O_WRONLY,
			filepath.Join(in, "new"): unix.O_CREAT,
		} {
			if fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600); !errors.Is(err, unix.EACCES) {
				unix.Close(fd)
				t.Errorf("open %s with %#x: %v, want EACCES", name, flags, err)
			}
		}
	})
}

func TestDomainKeepsPortsAbstractSocketsAndSignals(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	name := "@brig-landlock-test-" + strconv.Itoa(os.Getpid())
	abstract, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	allowed, refused := l.Addr().(*net.TCPAddr).Port, other.Addr().(*net.TCPAddr).Port
	confined(t, func(t *testing.T, ruleset int) {
		err := AllowPort(ruleset, Port{unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, uint64(allowed)})
		if err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T) {
		connect := func(family int, to unix.Sockaddr) error {
			fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Connect(fd, to)
		}
		loopback := [4]byte{127, 0, 0, 1}
		if err := connect(unix.AF_INET, &unix.SockaddrInet4{Port: allowed, Addr: loopback}); err != nil {
			t.Errorf("a port that a rule allows: %v", err)
		}
		if err := connect(unix.AF_INET, &unix.SockaddrInet4{Port: refused, Addr: loopback}); !errors.Is(err, unix.EACCES) {
			t.Errorf("a port without a rule: %v, want EACCES", err)
		}
		if err := connect(unix.AF_UNIX, &unix.SockaddrUnix{Name: name}); !errors.Is(err, unix.EPERM) {
			t.Errorf("an abstract socket outside the domain: %v, want EPERM", err)
		}
		if err := unix.Kill(os.Getppid(), 0); !errors.Is(err, unix.EPERM) {
			t.Errorf("a signal out of the domain: %v, want EPERM", err)
		}
	})
}

// TestARuleCoversWhatIsMountedBelow: rules give, and none takes away again. So "everything may be written but what is below
// /proc" cannot be said: a rule for the root is one for /proc, and rules for the directories in the root are none for a
// directory that is made later. It is why the domain of containers handles no writing (docs/threat-model.md).
func TestARuleCoversWhatIsMountedBelow(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "srv"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path string) error {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		unix.Close(fd)
		return err
	}
	const all = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_REG
	under := func(paths ...string) func(*testing.T, int) {
		return func(t *testing.T, ruleset int) {
			for _, p := range paths {
				if err := Allow(ruleset, all, p); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	confined(t, under("/"), func(t *testing.T) {
		if err := write("/proc/thread-self/comm"); err != nil {
			t.Errorf("a file of /proc, below a rule for the root: %v", err)
		}
	})
	// As if root were the root of a container.
	confined(t, func(t *testing.T, ruleset int) {
		under(filepath.Join(root, "srv"))(t, ruleset)
		if err := Allow(ruleset, unix.LANDLOCK_ACCESS_FS_MAKE_DIR, root); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T) {
		if err := unix.Mkdir(filepath.Join(root, "later"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := write(filepath.Join(root, "srv", "f")); err != nil {
			t.Errorf("a directory with a rule: %v", err)
		}
		if err := write(filepath.Join(root, "later", "f")); !errors.Is(err, unix.EACCES) {
			t.Errorf("a directory that was made later: %v, want EACCES", err)
		}
	})
}
