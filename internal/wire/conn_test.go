package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/brig-engine/brig/internal/kernel/memfile"
)

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// connPair makes two ends; the caller closes them.
func connPair(t fataler) (a, b *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = FileConn(fds[0], "a"); err != nil {
		t.Fatal(err)
	}
	if b, err = FileConn(fds[1], "b"); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// newPair makes two ends that are closed with the test.
func newPair(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, b = connPair(t)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// openFDs counts the descriptors of this process.
func openFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// raw sends a packet as a conquered peer would: past Send, past Go's byte for empty packets.
func raw(t *testing.T, c *Conn, packet []byte, fds ...int) {
	t.Helper()
	sc, err := c.Raw().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	iov := unix.Iovec{Base: unsafe.SliceData(append(packet, 0))}
	iov.SetLen(len(packet))
	msg := unix.Msghdr{Iov: &iov}
	msg.SetIovlen(1)
	if len(fds) > 0 {
		oob := unix.UnixRights(fds...)
		msg.Control = &oob[0]
		msg.SetControllen(len(oob))
	}
	var sent unix.Errno
	err = sc.Write(func(fd uintptr) bool {
		_, _, sent = unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), 0)
		return true
	})
	if err != nil || sent != 0 {
		t.Fatal(err, sent)
	}
}

// memory makes a memory file with content, sealed or not.
func memory(t *testing.T, content string, sealed bool) *os.File {
	t.Helper()
	if sealed {
		f, err := memfile.Seal("test", strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "test")
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestBrokenPacketIsAnErrorAndLeavesNoDescriptor open, whatever rule it breaks.
func TestBrokenPacketIsAnErrorAndLeavesNoDescriptor(t *testing.T) {
	long := `{"id":1,"op":"` + strings.Repeat("x", maxPacket) + `"}`
	body := `{"a":"` + strings.Repeat("x", 10) + `"}`
	good, loose, dir := memory(t, body, true), memory(t, body, false), memory(t, "", true)
	growing := memory(t, body, false)
	if _, err := unix.FcntlInt(growing.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err != nil {
		t.Fatal(err)
	}
	many := make([]int, MaxFDs+1)
	for i := range many {
		many[i] = int(dir.Fd())
	}
	for name, c := range map[string]struct {
		packet string
		fds    []int
		want   string
	}{
		"no bytes":             {"", []int{int(dir.Fd())}, "EOF"},
		"no JSON":              {"hello", []int{int(dir.Fd())}, "message:"},
		"unknown field":        {`{"id":1,"uid":0}`, []int{int(dir.Fd())}, "unknown field"},
		"unknown error field":  {`{"id":1,"error":{"class":"x","text":"y","z":1}}`, nil, "unknown field"},
		"two values":           {`{"id":1}{"id":2}`, []int{int(dir.Fd())}, "more than one value"},
		"trailing bytes":       {`{"id":1}]`, nil, "more than one value"},
		"negative id":          {`{"id":-1}`, nil, "message:"},
		"cut JSON":             {`{"id":1,"keys":[`, nil, "message:"},
		"too long":             {long, []int{int(dir.Fd())}, "larger than"},
		"too many descriptors": {`{"id":1}`, many, "larger than"},
		"body not there":       {`{"id":1,"mem":10}`, nil, "not there"},
		"two bodies":           {"{\"id\":1,\"mem\":18}\n{}", []int{int(good.Fd())}, "not there"},
		"negative body":        {`{"id":1,"mem":-1}`, []int{int(good.Fd())}, "not there"},
		"huge body":            {`{"id":1,"mem":4194305}`, []int{int(good.Fd())}, "not there"},
		"body shorter":         {`{"id":1,"mem":4194304}`, []int{int(good.Fd()), int(dir.Fd())}, "unexpected EOF"},
		"body not sealed":      {`{"id":1,"mem":18}`, []int{int(loose.Fd()), int(dir.Fd())}, "not sealed"},
		"body can shrink":      {`{"id":1,"mem":18}`, []int{int(growing.Fd())}, "not sealed"},
		"body no memory file":  {`{"id":1,"mem":18}`, []int{0}, "not sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newPair(t)
			before := openFDs(t)
			raw(t, a, []byte(c.packet), c.fds...)
			f, fds, err := b.Receive()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v with %d descriptors, error %v; want an error with %q", f, len(fds), err, c.want)
			}
			if after := openFDs(t); after != before {
				t.Errorf("%d descriptors were open before, %d after", before, after)
			}
		})
	}
}

// TestReceivedDescriptorsAreClosedOnExec: a program that this process starts does not get them.
func TestReceivedDescriptorsAreClosedOnExec(t *testing.T) {
	a, b := newPair(t)
	if err := a.Send(&Frame{ID: 1}, []int{0, 1}); err != nil {
		t.Fatal(err)
	}
	_, fds, err := b.Receive()
	if err != nil || len(fds) != 2 {
		t.Fatalf("%v, %v", fds, err)
	}
	defer CloseAll(fds)
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d: flags %#x, %v", fd, flags, err)
		}
	}
}

// TestTooLargeIsRefusedBeforeItIsSent, and the connection is as good as before.
func TestTooLargeIsRefusedBeforeItIsSent(t *testing.T) {
	a, b := newPair(t)
	big := func(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }
	before := openFDs(t)
	for name, c := range map[string]struct {
		frame Frame
		fds   []int
	}{
		"body":                      {Frame{Body: big(MaxBody + 1)}, nil},
		"descriptors":               {Frame{}, make([]int, MaxFDs+1)},
		"descriptors with the body": {Frame{Body: big(MaxInline + 1)}, make([]int, MaxFDs)},
		"name":                      {Frame{Op: Op(strings.Repeat("x", maxPacket))}, nil},
	} {
		if err := a.Send(&c.frame, c.fds); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors were open before, %d after", before, after)
	}
	if err := a.Send(&Frame{ID: 7, Body: big(MaxBody)}, make([]int, MaxFDs-1)); err != nil {
		t.Fatal(err)
	}
	f, fds, err := b.Receive()
	CloseAll(fds)
	if err != nil || f.ID != 7 || len(f.Body) != MaxBody || len(fds) != MaxFDs-1 {
		t.Errorf("the largest message: %d descriptors, %v", len(fds), err)
	}
}

// TestEndOfTheConnectionIsEOF, after what was sent before it.
func TestEndOfTheConnectionIsEOF(t *testing.T) {
	a, b := newPair(t)
	if err := a.Send(&Frame{ID: 1}, nil); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if f, _, err := b.Receive(); err != nil || f.ID != 1 {
		t.Errorf("%+v, %v", f, err)
	}
	if f, _, err := b.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("%+v, %v; want EOF", f, err)
	}
}

// TestDescriptorThatIsNoUnixSocketIsRefused and closed.
func TestDescriptorThatIsNoUnixSocketIsRefused(t *testing.T) {
	var pipe [2]int
	before := openFDs(t)
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for _, fd := range pipe {
		if _, err := FileConn(fd, "pipe"); err == nil {
			t.Error("a pipe became a connection")
		}
	}
	if _, err := FileConn(-1, "none"); err == nil {
		t.Error("no descriptor became a connection")
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors were open before, %d after", before, after)
	}
}

// TestAnyFrameRoundTrips with its descriptors in their order, whether its body travels inside or in a memory file.
func TestAnyFrameRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := connPair(t)
		defer a.Close()
		defer b.Close()
		want := Frame{ID: rapid.Uint64().Draw(t, "id"), Op: Op(rapid.StringN(0, 40, 200).Draw(t, "op"))}
		if rapid.Bool().Draw(t, "failed") {
			text := rapid.String()
			want.Error = &Error{text.Draw(t, "class"), text.Draw(t, "text"), rapid.Int().Draw(t, "code")}
		}
		sizes := rapid.SampledFrom([]int{-1, 0, 1, MaxInline - 2, MaxInline - 1, MaxInline * 2, MaxBody - 2})
		if size := sizes.Draw(t, "size"); size >= 0 {
			word := rapid.SampledFrom([]string{"x", "7"}).Draw(t, "word")
			want.Body = json.RawMessage(`"` + strings.Repeat(word, size) + `"`)
		}
		pick := rapid.SliceOfN(rapid.IntRange(0, 2), 0, 20).Draw(t, "descriptors")
		sent := want
		if err := a.Send(&sent, pick); err != nil {
			t.Fatal(err)
		}
		got, fds, err := b.Receive()
		if err != nil {
			t.Fatal(err)
		}
		defer CloseAll(fds)
		if got.ID != want.ID || got.Op != want.Op || !bytes.Equal(got.Body, want.Body) || got.Mem != 0 {
			t.Fatalf("sent %d %q and %d bytes, got %d %q and %d",
				want.ID, want.Op, len(want.Body), got.ID, got.Op, len(got.Body))
		}
		if (got.Error == nil) != (want.Error == nil) || got.Error != nil && *got.Error != *want.Error {
			t.Fatalf("error %+v became %+v", want.Error, got.Error)
		}
		if len(fds) != len(pick) {
			t.Fatalf("%d descriptors became %d", len(pick), len(fds))
		}
		for i := range fds {
			var x, y unix.Stat_t
			if unix.Fstat(pick[i], &x) != nil || unix.Fstat(fds[i], &y) != nil || x.Dev != y.Dev || x.Ino != y.Ino {
				t.Fatalf("descriptor %d is another file", i)
			}
		}
	})
}

// FuzzConn: a stranger's packet is a frame or an error, never more, and leaves no descriptor open.
func FuzzConn(f *testing.F) {
	f.Add([]byte(`{"id":1,"op":"hello","body":{"version":"1"}}`), uint8(0))
	f.Add([]byte(`{"id":1,"error":{"class":"not_found","text":"x","code":127}}`), uint8(1))
	f.Add([]byte(`{"id":1,"mem":5}`), uint8(1))
	f.Add([]byte(`{"id":1,"mem":4194304,"body":null}`), uint8(2))
	f.Add([]byte(`{"id":18446744073709551616}`), uint8(0))
	f.Add([]byte(`{"ID":1}{}`), uint8(0))
	f.Add([]byte{}, uint8(1))
	f.Fuzz(func(t *testing.T, packet []byte, n uint8) {
		if len(packet) > maxPacket+100 { // more does not fit the socket of every machine
			return
		}
		mem := memory(t, `"abc"`, true)
		fds := make([]int, int(n)%200)
		for i := range fds {
			fds[i] = int(mem.Fd())
		}
		a, b := newPair(t)
		before := openFDs(t)
		raw(t, a, packet, fds...)
		got, came, err := b.Receive()
		switch {
		case err != nil && (got != nil || len(came) != 0):
			t.Errorf("an error and %+v with %v", got, came)
		case err == nil && (len(packet) > maxPacket || len(fds) > MaxFDs || got.Mem != 0 || len(got.Body) > MaxBody):
			t.Errorf("%d bytes with %d descriptors became %+v", len(packet), len(fds), got)
		}
		CloseAll(came)
		if after := openFDs(t); after != before {
			t.Errorf("%d descriptors were open before, %d after", before, after)
		}
	})
}
