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
	r, body := runAsk(t, socket, "/containers/"+id+"/attach?stream=1&stdout=1&stderr=1"+query, until, "", input)
	return r.StatusCode, r.Header.Get(RunHeader), body
}

// runAsk sends a request with RunHeader, and input after it.
func runAsk(t *testing.T, socket, path, until, body, input string) (*http.Response, string) {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1.50%s HTTP/1.1\r\nHost: brig\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"+
		"%s: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s", path, RunHeader, until,
		len(body), body, input)
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
	return r, string(b)
}

func TestOneRequestCreatesAndRuns(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	const path = "/containers/create?name=whole&stream=1&stdout=1&stdin=1"
	ask := func(path, until, config string) (*http.Response, string) {
		t.Helper()
		return runAsk(t, s, path, until, config, "typed")
	}
	r, body := ask(path, "removed", createBody("cat; exit 3", `,"OpenStdin":true,"StdinOnce":true,"HostConfig":{"AutoRemove":true}`))
	got := demux(t, body)
	if r.StatusCode != 101 || r.Header.Get(RunHeader) != "started" || !strings.Contains(got, "typed") ||
		!strings.HasSuffix(got, `{"StatusCode":3}`) {
		t.Errorf("status %d, %q: %s", r.StatusCode, r.Header, got)
	}
	if h := r.Header.Get(CreatedHeader); !strings.HasPrefix(h, `{"Id":"`) || !strings.HasSuffix(h, `","Warnings":[]}`) {
		t.Errorf("created %s", h)
	}
	for _, x := range []struct{ path, until, config string }{
		{path, "not-running", createBody("exit 3", "")},
		{path, "removed", createBody("exit 3", `,"Tty":true`)},
		{"/containers/create?name=whole", "removed", createBody("exit 3", "")},
	} {
		if r, body := ask(x.path, x.until, x.config); r.StatusCode != 400 || r.Header.Get(CreatedHeader) != "" {
			t.Errorf("%v: %d %q %s", x, r.StatusCode, r.Header, body)
		}
	}
	must(t, s, 404, "GET", "/containers/whole/json", "")
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

// TestARunIsWithdrawnWithItsClient, whenever that goes in the first moment; what was made by another request stays.
func TestARunIsWithdrawnWithItsClient(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	ask := func(path, body string, heard bool) {
		t.Helper()
		c, err := net.Dial("unix", s)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /v1.50%s&stream=1&stdout=1 HTTP/1.1\r\nHost: brig\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"+
			"%s: next-exit\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, RunHeader, len(body), body)
		if heard {
			if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != 101 {
				t.Fatal(r, err)
			}
		}
	}
	becomes := func(name, want string) {
		t.Helper()
		var body string
		for range 1000 {
			if _, body = call(t, s, "GET", "/containers/"+name+"/json", ""); strings.Contains(body, want) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s is not %s: %s", name, want, body)
	}
	ask("/containers/create?name=heard", createBody("sleep 60", ""), true)
	becomes("heard", "No such container")
	must(t, s, 201, "POST", "/v1.50/containers/create?name=early", createBody("sleep 60", ""))
	ask("/containers/early/attach?", "", false)
	becomes("early", `"Status":"running"`)
	time.Sleep(100 * time.Millisecond)
	becomes("early", `"Status":"running"`)
	must(t, s, 204, "DELETE", "/containers/early?force=1", "")
}

func TestOneRequestExecutes(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	id := create(t, s, "while :; do sleep 0.01; done", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	for _, x := range []struct{ until, body, want string }{
		{"exec", `{"AttachStdin":true,"AttachStdout":true,"Cmd":["sh","-c","cat; exit 3"]}`, `typed{"StatusCode":3}`},
		{"exec", `{"AttachStdout":true,"AttachStderr":true,"Cmd":["no-such-program"]}`, `{"StatusCode":127}`},
	} {
		r, body := runAsk(t, s, "/containers/"+id+"/exec", x.until, x.body, "typed")
		if got := demux(t, body); r.StatusCode != 101 || r.Header.Get(RunHeader) != "started" ||
			!strings.HasPrefix(r.Header.Get(CreatedHeader), `{"Id":"`) || !strings.HasSuffix(got, x.want) {
			t.Errorf("%v: status %d, %q: %q", x, r.StatusCode, r.Header, got)
		}
	}
	for _, x := range []struct{ until, body string }{
		{"removed", `{"AttachStdout":true,"Cmd":["true"]}`}, {"exec", `{"AttachStdout":true,"Tty":true,"Cmd":["true"]}`},
	} {
		if r, body := runAsk(t, s, "/containers/"+id+"/exec", x.until, x.body, ""); r.StatusCode != 400 {
			t.Errorf("%v: %d %s", x, r.StatusCode, body)
		}
	}
}
