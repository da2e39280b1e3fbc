package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// runWhole sends the one request of three and gives status and what follows.
func runWhole(t *testing.T, socket, id, query, until, input string) (status int, marker, body string) {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1.50/containers/%s/attach?stream=1&stdout=1&stderr=1%s HTTP/1.1\r\nHost: brig\r\nConnection: Upgrade\r\n"+
		"Upgrade: tcp\r\n%s: %s\r\nContent-Length: 0\r\n\r\n%s", id, query, RunHeader, until, input)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	rest := io.Reader(in)
	if r.StatusCode != http.StatusSwitchingProtocols {
		rest = r.Body
	}
	b, err := io.ReadAll(rest)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, r.Header.Get(RunHeader), string(b)
}

func TestOneRequestAttachesStartsAndWaits(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	id := create(t, s, "cat; echo error >&2; exit 3", `,"OpenStdin":true,"StdinOnce":true`)
	code, marker, body := runWhole(t, s, id, "&stdin=1", "next-exit", "typed")
	if code != 101 || marker != "started" {
		t.Fatalf("status %d, %q", code, marker)
	}
	got := demux(t, body) // the two streams have no order between them, the end is the end
	if !strings.HasSuffix(got, `{"StatusCode":3}`) || !strings.Contains(got, "typed") || !strings.Contains(got, "{error\n}") {
		t.Errorf("frames: %q", got)
	}
	gone := create(t, s, "exit 4", `,"HostConfig":{"AutoRemove":true}`)
	if _, _, body := runWhole(t, s, gone, "", "removed", ""); !strings.Contains(body, `"StatusCode":4`) {
		t.Errorf("frames: %q", body)
	}
	must(t, s, 404, "GET", "/containers/"+gone+"/json", "")
	if code, _, body := runWhole(t, s, id, "", "not-running", ""); code != 400 {
		t.Errorf("a condition that is none: %d %s", code, body)
	}
	terminal := create(t, s, "exit 5", `,"Tty":true`)
	if code, _, body := runWhole(t, s, terminal, "", "next-exit", ""); code != 400 {
		t.Errorf("with a terminal: %d %s", code, body)
	}
}

func TestARunWithdrawnBeforeItsStartEnds(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	id := create(t, s, "sleep 60", "")
	c, err := net.Dial("unix", s)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /v1.50/containers/%s/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: brig\r\nConnection: Upgrade\r\n"+
		"Upgrade: tcp\r\n%s: next-exit\r\nContent-Length: 0\r\n\r\n", id, RunHeader)
	c.Close()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		body := must(t, s, 200, "GET", "/containers/"+id+"/json", "")
		if strings.Contains(body, `"ExitCode":137`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the container goes on: %s", body)
		}
	}
}
