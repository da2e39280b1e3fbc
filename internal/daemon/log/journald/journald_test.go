package journald

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// receiver is a journal in a temporary directory.
type receiver struct {
	t testing.TB
	c *net.UnixConn
}

func listen(t testing.TB) (*receiver, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &receiver{t, c}, path
}

// entry receives one entry, as the journal would: of the datagram, or of a file that is sealed.
func (r *receiver) entry() (b []byte, file bool) {
	r.t.Helper()
	if err := r.c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	b, oob := make([]byte, 1<<20), make([]byte, 1<<10)
	n, m, _, _, err := r.c.ReadMsgUnix(b, oob)
	if err != nil {
		r.t.Fatal(err)
	}
	if m == 0 {
		return b[:n], false
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil {
		r.t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || n != 0 {
		r.t.Fatalf("%d bytes beside a file, %v", n, err)
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals != unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL {
		r.t.Errorf("seals %x, %v", seals, err)
	}
	st, err := f.Stat()
	if err != nil {
		r.t.Fatal(err)
	}
	b = make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		r.t.Fatal(err)
	}
	return b, true
}

// fields reads an entry as the protocol says.
func fields(b []byte) (out []string, err error) {
	for len(b) > 0 {
		line, rest, found := strings.Cut(string(b), "\n")
		if !found {
			return out, fmt.Errorf("no end after %q", line)
		}
		b = []byte(rest)
		if strings.Contains(line, "=") {
			out = append(out, line)
			continue
		}
		if len(b) < 8 {
			return out, fmt.Errorf("no length after %q", line)
		}
		n := binary.LittleEndian.Uint64(b)
		if uint64(len(b)-9) < n || b[8+n] != '\n' {
			return out, fmt.Errorf("%q has %d bytes", line, n)
		}
		out = append(out, line+"="+string(b[8:8+n]))
		b = b[9+n:]
	}
	return out, nil
}

func TestEntriesOfAnySizeArrive(t *testing.T) {
	r, path := listen(t)
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for size, inFile := range map[int]bool{5: false, 16 << 10: false, 1 << 20: true} {
		want := strings.Repeat("x", size)
		entry := AppendField(AppendField(nil, "PRIORITY", []byte("6")), "MESSAGE", []byte(want))
		if err := c.Send(entry, time.Now().Add(5*time.Second)); err != nil {
			t.Fatal(err)
		}
		b, file := r.entry()
		got, err := fields(b)
		if err != nil || len(got) != 2 || got[1] != "MESSAGE="+want || file != inFile {
			t.Errorf("%d bytes: %d fields, in a file %v, %v", size, len(got), file, err)
		}
	}
}

func TestAHangingJournalHasADeadline(t *testing.T) {
	_, path := listen(t)
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 100000 { // nobody reads: the queue of the socket fills
		if err = c.Send([]byte("MESSAGE=x\n"), time.Now().Add(100*time.Millisecond)); err != nil {
			break
		}
	}
	if err == nil || !os.IsTimeout(err) && !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%v", err)
	}
}

func TestNoJournal(t *testing.T) {
	_, err := Dial(filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "journald is not enabled on this host") {
		t.Errorf("%v", err)
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{"com.example.App": "COM_EXAMPLE_APP", "_x": "X", "__": "", "": "", "é9=\n": "9__", "1a": "1A",
		strings.Repeat("a", 99): strings.Repeat("A", 64)} {
		if got := Name(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzField: whatever a container prints is one field, and the field after it is the one that was meant.
func FuzzField(f *testing.F) {
	f.Add("name", []byte("a\nPRIORITY=0\n"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		name := Name(key)
		if name == "" {
			return
		}
		got, err := fields(AppendField(AppendField(nil, name, value), "LAST", []byte("1")))
		if err != nil || len(got) != 2 || got[0] != name+"="+string(value) || got[1] != "LAST=1" {
			t.Fatalf("%q=%q became %q, %v", key, value, got, err)
		}
	})
}
