package log

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/daemon/log/syslog"
)

// datagrams is a receiver of datagrams in a temporary directory.
func datagrams(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive(t testing.TB, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// journalEntry is an entry of the journal, less what differs from run to run.
const journalEntry = `PRIORITY=3
MESSAGE=hello
CONTAINER_ID=0123456789ab
CONTAINER_ID_FULL=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
CONTAINER_NAME=web
CONTAINER_TAG=web
IMAGE_NAME=img:latest
SYSLOG_IDENTIFIER=web
CONTAINER_LOG_EPOCH=…
COM_A=1
COM_B=two
ORG=o
TAG=web
SYSLOG_TIMESTAMP=2023-11-14T22:13:20.5Z
CONTAINER_LOG_ORDINAL=1
`

func TestEntriesOfTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	c := datagrams(t, path)
	o, errs := Parse(config("journald", "labels-regex=.", "tag={{.Name}}"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	info := testInfo
	info.Labels = map[string]string{"com.a": "1", "com.b": "two", "org": "o", "message": "forged", "container_id": "forged", "__": "x"}
	l := New(t.TempDir()+"/log", o, Source{Info: func() Info { return info }, Receivers: Receivers{Journal: path}})
	if err := l.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	l.Begin()
	at := time.Unix(1700000000, 500000000)
	for _, s := range []string{"hello\n", "PRIORITY=0\n", "\n", "no end"} {
		if err := l.Append(Stderr, at, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	got := regexp.MustCompile(`EPOCH=\w+`).ReplaceAllString(receive(t, c), "EPOCH=…")
	if got != journalEntry {
		t.Errorf("%s", got)
	}
	if got := receive(t, c); !strings.Contains(got, "\nMESSAGE=PRIORITY=0\n") || !strings.Contains(got, "CONTAINER_LOG_ORDINAL=2\n") {
		t.Errorf("%s", got)
	}
	if got := receive(t, c); !strings.Contains(got, "\nMESSAGE=\n") {
		t.Errorf("an empty line: %s", got)
	}
	if got := receive(t, c); !strings.Contains(got, "CONTAINER_PARTIAL_ORDINAL=1\nCONTAINER_PARTIAL_LAST=false\nCONTAINER_PARTIAL_MESSAGE=true\n") {
		t.Errorf("the piece of a line: %s", got)
	}
	l.End()
	l.Flush()
	if got := text(t, l, both(-1)); got != "hello\nPRIORITY=0\n\nno end" {
		t.Errorf("the cache: %q", got)
	}
}

func TestLongLinesComeInPieces(t *testing.T) {
	l := &Log{}
	long := strings.Repeat("x", 2*MaxLine+5) + "\nshort\n"
	ms := append(l.messages(Stdout, time.Now(), []byte(long)), l.messages(Stderr, time.Now(), []byte("other\n"))...)
	if len(ms) != 5 || ms[0].part.id == "" || ms[0].part.id != ms[2].part.id || ms[1].part.number != 2 || ms[1].part.last ||
		!ms[2].part.last || len(ms[2].text) != 5 || ms[3].part.id != "" || ms[4].part.id != "" {
		t.Errorf("%+v", ms)
	}
}

// TestASyslogThatComesBackGetsAll: the receiver of datagrams is started anew, and the connection with it.
func TestASyslogThatComesBackGetsAll(t *testing.T) {
	dir := t.TempDir()
	c := datagrams(t, dir+"/log")
	o, _ := Parse(config("syslog", "tag=it"))
	l := New(dir+"/files", o, Source{Receivers: Receivers{Syslog: []string{dir + "/none", dir + "/log"}}})
	if err := l.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	l.Begin()
	write := func(s string) {
		if err := l.Append(Stdout, time.Now(), []byte(s+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	if got := receive(t, c); !strings.HasPrefix(got, "<30>") || !strings.HasSuffix(got, ": one\n") {
		t.Errorf("%q", got)
	}
	c.Close()
	if err := os.Remove(dir + "/log"); err != nil {
		t.Fatal(err)
	}
	write("two")
	time.Sleep(50 * time.Millisecond)
	c = datagrams(t, dir+"/log")
	write("three")
	for _, want := range []string{": two\n", ": three\n"} {
		if got := receive(t, c); !strings.HasSuffix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	l.End()
	l.Flush()
}

func TestConnectSaysThatThereIsNoReceiver(t *testing.T) {
	none := t.TempDir() + "/none"
	for _, driver := range []string{DriverSyslog, DriverJournald} {
		o := Options{Driver: driver, Syslog: syslog.Default(), MaxSize: 1 << 20, MaxFiles: 1}
		l := New(t.TempDir(), o, Source{Receivers: Receivers{Journal: none, Syslog: []string{none}}})
		err := l.Connect(context.Background())
		if err == nil || !strings.HasPrefix(err.Error(), "failed to initialize logging driver: ") || !strings.Contains(err.Error(), none) {
			t.Errorf("%s: %v", driver, err)
		}
	}
}

func TestWithoutACacheNothingIsRead(t *testing.T) {
	o, _ := Parse(config("syslog", "cache-disabled=true"))
	for _, o := range []Options{o, {Driver: DriverNone}} {
		l := New(t.TempDir()+"/log", o, Source{})
		if err := l.Read(context.Background(), both(-1), nil); err != ErrNoLog || l.Readable() {
			t.Errorf("%s: %v", o.Driver, err)
		}
		if err := l.Remove(); err != nil {
			t.Error(err)
		}
	}
}
