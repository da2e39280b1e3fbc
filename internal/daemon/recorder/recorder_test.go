package recorder

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/wire"
)

// listened loads a filter that leaves the calls to a listener, on a thread of its own that ends with the test, and then has
// that thread do something. It gives the descriptor.
func listened(t *testing.T, calls []uint32, do func()) int {
	t.Helper()
	f := filter.Filter{Arch: filter.Arch(runtime.GOARCH), Default: filter.Allow, Rules: []filter.Rule{{Calls: calls, Action: filter.Notify}}}
	code, err := filter.Compile(&f)
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		fp, _ := seccomp.Fprog(code)
		fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&fp)))
		runtime.KeepAlive(code)
		if errno != 0 {
			t.Errorf("load a filter: %v", errno)
		}
		made <- int(fd)
		do()
	}()
	return <-made
}

func send(t *testing.T, dir, text string, fds ...int) {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, wire.Recorder))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix([]byte(text), unix.UnixRights(fds...), nil); err != nil {
		t.Fatal(err)
	}
}

func TestCallsAreNotedAndCarriedOut(t *testing.T) {
	dir := t.TempDir()
	r, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadDir("/proc/self/fd")
	// What is not a message of the warden is dropped, with its descriptors.
	for _, text := range []string{"{}", "junk", `{"fds":["seccompFd"],"state":{"id":"x"}}`, `{"fds":["other"]}`} {
		send(t, dir, text, 0, 0)
		send(t, dir, text)
	}
	send(t, dir, `{"fds":["seccompFd"],"state":{"id":"c"}}`, 0) // no filter's
	getpgid, _ := seccomp.Number(runtime.GOARCH, "getpgid")
	uname, _ := seccomp.Number(runtime.GOARCH, "uname")
	done := make(chan int, 1)
	fd := listened(t, []uint32{getpgid, uname}, func() {
		pgid, err := unix.Getpgid(0)
		if err != nil {
			t.Error(err)
		}
		done <- pgid
	})
	send(t, dir, `{"fds":["seccompFd"],"state":{"id":"c"}}`, fd)
	unix.Close(fd)
	select {
	case got := <-done:
		if want, _ := unix.Getpgid(0); got != want {
			t.Errorf("the call was not carried out: %d, want %d", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the call waits")
	}
	if got := r.Calls("c"); !slices.Equal(got, []uint32{getpgid}) {
		t.Errorf("%v", got)
	}
	if got := r.Calls("x"); got != nil {
		t.Errorf("of another container: %v", got)
	}
	r.Forget("c")
	if got := r.Calls("c"); got != nil {
		t.Errorf("it was to be forgotten: %v", got)
	}
	deadline := time.Now().Add(10 * time.Second)
	for { // the end of the thread is the end of its listener
		after, _ := os.ReadDir("/proc/self/fd")
		if len(after) <= len(before)+1 { // the listening socket is polled
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", len(after), len(before))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
