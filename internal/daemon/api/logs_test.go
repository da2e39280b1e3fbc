package api

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/daemon/log"
)

func logConfig(driver string, pairs ...string) string {
	var b strings.Builder
	for i, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%q", k, v)
	}
	return fmt.Sprintf(`,"HostConfig":{"LogConfig":{"Type":%q,"Config":{%s}}}`, driver, b.String())
}

// journalIn makes the daemons of this test find a journal in a temporary directory.
func journalIn(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	testReceivers = log.Receivers{Journal: path, Syslog: []string{path}}
	t.Cleanup(func() { testReceivers = log.Receivers{} })
	return c
}

// TestEveryDriverIsReadBack: what went to a receiver is read from the copy that stays here.
func TestEveryDriverIsReadBack(t *testing.T) {
	journal := journalIn(t)
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	for _, driver := range []string{"json-file", "local", "journald", "syslog"} {
		for _, mode := range []string{"", "blocking", "non-blocking"} {
			id := create(t, s, "echo out; echo err >&2; sleep 0.05; printf end", `,"Env":["A=1"],"Labels":{"x":"y z"}`+
				logConfig(driver, "mode="+mode, "labels=x", "env=A", "tag={{.ImageName}}"))
			must(t, s, 204, "POST", "/containers/"+id+"/start", "")
			must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
			got := logText(t, s, id, "&details=1")
			for _, want := range []string{"A=1,tag=test,x=y+z out\n", "A=1,tag=test,x=y+z err\n", "A=1,tag=test,x=y+z end"} {
				if !strings.Contains(got, want) {
					t.Errorf("%s %s: %q is not in %q", driver, mode, want, got)
				}
			}
			if got := demux(t, must(t, s, 200, "GET", "/containers/"+id+"/logs?stderr=1", "")); got != "{err\n}" {
				t.Errorf("%s %s: stderr is %q", driver, mode, got)
			}
			if driver != "journald" && driver != "syslog" {
				continue
			}
			for n, b := 0, make([]byte, 1<<16); n < 3; n++ {
				if err := journal.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if m, err := journal.Read(b); err != nil || !strings.Contains(string(b[:m]), "test") {
					t.Fatalf("%s %s: message %d: %q, %v", driver, mode, n, b[:m], err)
				}
			}
		}
	}
	for _, c := range []string{logConfig("none"), logConfig("journald", "cache-disabled=true")} {
		id := create(t, s, "true", c)
		if got := must(t, s, 501, "GET", "/containers/"+id+"/logs?stdout=1", ""); !strings.Contains(got,
			`"configured logging driver does not support reading`) {
			t.Errorf("%s: %s", c, got)
		}
	}
}

func TestDetailsOfNothingAreABlank(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	id := create(t, s, "echo x", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
	if got := logText(t, s, id, "&details=1"); got != " x\n" {
		t.Errorf("%q", got)
	}
}

func TestAStartWithoutAReceiverFailsAndSaysWhy(t *testing.T) {
	journalIn(t)
	testReceivers = log.Receivers{Journal: "/none", Syslog: []string{"/none"}}
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	for driver, want := range map[string]string{"journald": "journald is not enabled on this host", "syslog": "Unix syslog delivery error"} {
		id := create(t, s, "true", logConfig(driver))
		got := must(t, s, 500, "POST", "/containers/"+id+"/start", "")
		if !strings.Contains(got, "failed to initialize logging driver: ") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", driver, got)
		}
		must(t, s, 204, "DELETE", "/containers/"+id, "")
	}
}

// TestAHangingReceiverHoldsUpNeitherEndNorEngine: it accepts and never reads, and the container prints more than all buffers
// between them hold.
func TestAHangingReceiverHoldsUpNeitherEndNorEngine(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "hangs"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := "syslog-address=unix://" + l.Addr().String()
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	loud := "head -c 4000000 /dev/zero | tr '\\0' x; echo; echo end"
	for _, mode := range []string{"", "non-blocking"} {
		id := create(t, s, loud, logConfig("syslog", address, "mode="+mode))
		start := time.Now()
		must(t, s, 204, "POST", "/containers/"+id+"/start", "")
		must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%q: it took %v", mode, took)
		}
		if got := logText(t, s, id, "&tail=1"); got != "end\n" {
			t.Errorf("%q: the copy ends with %.80q", mode, got)
		}
	}
	id := create(t, s, loud, logConfig("syslog", address, "mode=blocking"))
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	time.Sleep(500 * time.Millisecond)
	if got := must(t, s, 200, "GET", "/containers/"+id+"/json", ""); !strings.Contains(got, `"Running":true`) {
		t.Error("mode=blocking did not block")
	}
	other := create(t, s, "true", "")
	must(t, s, 204, "POST", "/containers/"+other+"/start", "")
	must(t, s, 200, "POST", "/containers/"+other+"/wait", "")
	start := time.Now()
	must(t, s, 204, "POST", "/containers/"+id+"/kill", "")
	must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("after the kill it took %v", took)
	}
}

// TestARestartOfTheDaemonLosesNoLineOfAnyDriver: a line may be there twice, and none is missing.
func TestARestartOfTheDaemonLosesNoLineOfAnyDriver(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: gone, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	d := startSeparate(t, newFakeWarden(t))
	ids := map[string]string{}
	for driver, config := range map[string]string{"local": logConfig("local"),
		"syslog": logConfig("syslog", "syslog-address=unixgram://"+gone, "mode=non-blocking")} {
		ids[driver] = create(t, d.socket,
			"i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); [ $((i%100)) = 0 ] && sleep 0.01; done", config)
		must(t, d.socket, 204, "POST", "/containers/"+ids[driver]+"/start", "")
	}
	c.Close() // a receiver that is away is no reason for a new brigd not to take a container over
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		time.Sleep(40 * time.Millisecond)
		d.kill()
		time.Sleep(20 * time.Millisecond)
		d.start()
	}
	for driver, id := range ids {
		must(t, d.socket, 200, "POST", "/containers/"+id+"/wait", "")
		next := 0
		for _, line := range strings.Fields(logText(t, d.socket, id, "")) {
			n := -1
			if _, err := fmt.Sscan(line, &n); err != nil || n > next {
				t.Fatalf("%s: after line %d came %q: a gap", driver, next-1, line)
			}
			next = max(next, n+1)
		}
		if next != 2000 {
			t.Errorf("%s: the log ends at line %d", driver, next-1)
		}
	}
}
