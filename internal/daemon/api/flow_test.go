package api

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// call sends one request, with these lines in its head, and gives status and body.
func call(t testing.TB, socket, method, path, body string, head ...string) (int, string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: brig\r\nConnection: close\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n%s\r\n%s", method, path, len(body), strings.Join(append(head, ""), "\r\n"), body)
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return r.StatusCode, string(b)
}

// request sends a request and gives the body of the reply while it comes.
func request(t testing.TB, socket, method, path string) io.Reader {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: brig\r\nConnection: close\r\n\r\n", method, path)
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("%s %s: %v %v", method, path, r, err)
	}
	return r.Body
}

// must is call with an expected status.
func must(t testing.TB, socket string, want int, method, path, body string) string {
	t.Helper()
	code, got := call(t, socket, method, path, body)
	if code != want {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, code, want, got)
	}
	return got
}

// create makes a container that runs a shell script.
func create(t testing.TB, socket, script, more string) string {
	t.Helper()
	body := must(t, socket, 201, "POST", "/v1.50/containers/create", createBody(script, more))
	var r apicontainer.CreateResponse
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func createBody(script, more string) string {
	b, _ := json.Marshal(script) // of a string: no error
	return fmt.Sprintf(`{"Image":"test","Cmd":["sh","-c",%s]%s}`, b, more)
}

func logText(t testing.TB, socket, id, query string) string {
	t.Helper()
	return demux(t, must(t, socket, 200, "GET", "/v1.50/containers/"+id+"/logs?stdout=1&stderr=1"+query, ""))
}

// demux gives the text of a framed stream, each frame of stderr in braces.
func demux(t testing.TB, s string) string {
	t.Helper()
	var b strings.Builder
	for len(s) > 0 {
		if len(s) < 8 || len(s) < 8+int(binary.BigEndian.Uint32([]byte(s[4:8]))) {
			t.Fatalf("a torn frame: %q", s)
		}
		n := int(binary.BigEndian.Uint32([]byte(s[4:8])))
		if s[0] == 2 {
			b.WriteString("{" + s[8:8+n] + "}")
		} else {
			b.WriteString(s[8 : 8+n])
		}
		s = s[8+n:]
	}
	return b.String()
}

func TestLogsCanBeChosenByTailTimeAndStream(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "echo one; sleep 0.01; echo two; echo three >&2; printf end", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
	all := logText(t, s, id, "")
	for _, part := range []string{"one\n", "two\n", "{three\n}", "end"} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is not in the log %q", part, all)
		}
	}
	if got := demux(t, must(t, s, 200, "GET", "/containers/"+id+"/logs?stdout=1&tail=1", "")); got != "end" {
		t.Errorf("tail=1 of stdout: %q", got)
	}
	if got := logText(t, s, id, "&since="+fmt.Sprint(time.Now().Add(time.Hour).Unix())); got != "" {
		t.Errorf("since a later time: %q", got)
	}
	if got := logText(t, s, id, "&until="+fmt.Sprint(time.Now().Add(-time.Hour).Unix())); got != "" {
		t.Errorf("until an earlier time: %q", got)
	}
	if got := demux(t, must(t, s, 200, "GET", "/containers/"+id+"/logs?stderr=1&timestamps=1",
		"")); !strings.Contains(got, "Z three\n") {
		t.Errorf("with timestamps: %q", got)
	}
	must(t, s, 400, "GET", "/containers/"+id+"/logs", "")
	if got := demux(t, must(t, s, 200, "GET", "/containers/"+id+"/logs?stdout=1&tail=x", "")); !strings.HasSuffix(got, "end") || got == "end" {
		t.Errorf("a tail that is no number: %q", got) // all of it, as in Docker
	}
}

func TestFollowedLogsEndWithTheContainer(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	if got := logText(t, s, id, "&follow=1"); got != "1\n2\n3\n4\n5\n" {
		t.Errorf("followed: %q", got)
	}
}

func TestRotationKeepsTheLogBoundedAndReadable(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "i=0; while [ $i -lt 4000 ]; do echo line number $i; i=$((i+1)); done",
		`,"HostConfig":{"LogConfig":{"Type":"json-file","Config":{"max-size":"64k","max-file":"2"}}}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	followed := make(chan string, 1)
	go func() { _, b := call(t, s, "GET", "/containers/"+id+"/logs?stdout=1&follow=1", ""); followed <- b }()
	must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
	got := logText(t, s, id, "")
	if !strings.HasSuffix(got, "line number 3999\n") || len(got) > 128<<10 {
		t.Errorf("%d bytes, end %q", len(got), got[max(0, len(got)-40):])
	}
	if tail := logText(t, s, id, "&tail=2"); tail != "line number 3998\nline number 3999\n" {
		t.Errorf("tail: %q", tail)
	}
	if b := demux(t, <-followed); !strings.HasSuffix(b, "line number 3999\n") {
		t.Errorf("followed over rotations: end %q", b[max(0, len(b)-40):])
	}
}

func TestARestartOfTheDaemonLosesNoLineAndNoExit(t *testing.T) {
	f := newFakeWarden(t)
	d := startSeparate(t, f)
	id := create(t, d.socket,
		"i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); [ $((i%100)) = 0 ] && sleep 0.01; done; exit 5", "")
	ends := create(t, d.socket, "sleep 0.1; exit 6", "")
	for _, x := range []string{id, ends} {
		must(t, d.socket, 204, "POST", "/containers/"+x+"/start", "")
	}
	for range 3 {
		time.Sleep(60 * time.Millisecond)
		d.kill()
		time.Sleep(30 * time.Millisecond)
		d.start()
	}
	for x, code := range map[string]int{id: 5, ends: 6} {
		if got := must(t, d.socket, 200, "POST", "/containers/"+x+"/wait", ""); !strings.Contains(got,
			fmt.Sprintf(`"StatusCode":%d`, code)) {
			t.Errorf("exit after restarts: %s, want %d", got, code)
		}
	}
	next := 0
	for _, line := range strings.Fields(logText(t, d.socket, id, "")) {
		n := -1
		if _, err := fmt.Sscan(line, &n); err != nil || n > next {
			t.Fatalf("after line %d came %q: a gap", next-1, line)
		}
		next = max(next, n+1) // a line may be there twice
	}
	if next != 3000 {
		t.Errorf("the log ends at line %d", next-1)
	}
}

// attach opens a hijacked stream.
func attach(t testing.TB, socket, path, body string) (*net.UnixConn, *bufio.Reader) {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: brig\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n", path)
	fmt.Fprintf(c, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != 101 {
		b, _ := io.ReadAll(r.Body)
		t.Fatalf("%s: status %d: %s", path, r.StatusCode, b)
	}
	return c, in
}

func TestSeveralClientsAttachAndOneDetaches(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "stty -echo; while read l; do echo got $l; done", `,"Tty":true,"OpenStdin":true`)
	path := "/v1.50/containers/" + id + "/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys=ctrl-a,x"
	a, aIn := attach(t, s, path, "")
	_, bIn := attach(t, s, path, "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	time.Sleep(100 * time.Millisecond) // stty
	fmt.Fprint(a, "one\n")
	for _, in := range []*bufio.Reader{aIn, bIn} {
		if line, err := in.ReadString('\n'); err != nil || line != "got one\r\n" {
			t.Fatalf("attached client read %q, %v", line, err)
		}
	}
	must(t, s, 200, "POST", "/containers/"+id+"/resize?h=33&w=99", "")
	must(t, s, 400, "POST", "/containers/"+id+"/resize?h=-1&w=99", "")
	fmt.Fprint(a, "\x01x")
	if rest, err := io.ReadAll(aIn); err != nil || len(rest) != 0 {
		t.Errorf("after the detach keys: %q, %v", rest, err)
	}
	must(t, s, 204, "POST", "/containers/"+id+"/kill", "")
	if rest, err := io.ReadAll(bIn); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

// dockerode sends the options of attach in a body as well: it is not what is typed.
func TestTheBodyOfAnAttachIsNoInput(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "cat", `,"Tty":true,"OpenStdin":true,"StdinOnce":true`)
	a, in := attach(t, s, "/containers/"+id+"/attach?stream=1&stdin=1&stdout=1", `{"stream":true,"stdin":true}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	fmt.Fprint(a, "typed\n")
	if line, err := in.ReadString('\n'); err != nil || line != "typed\r\n" {
		t.Errorf("the terminal shows %q, %v", line, err)
	}
	must(t, s, 204, "POST", "/containers/"+id+"/kill", "")
}

// docker-py reads the head of the reply with whatever else has come, and drops the rest.
func TestOutputWaitsUntilTheHeadWasRead(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "sleep 100", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	for _, late := range []time.Duration{0, 100 * time.Millisecond} {
		exec := idOf(t, s, "/containers/"+id+"/exec", `{"Cmd":["echo","output"],"Tty":true,"AttachStdout":true}`)
		c, err := net.Dial("unix", s)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /exec/%s/start HTTP/1.1\r\nHost: brig\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", exec)
		time.Sleep(late)
		head := make([]byte, 8192)
		n := 0
		for !strings.HasSuffix(string(head[:n]), "\r\n\r\n") { // it may come in pieces
			more, err := c.Read(head[n:])
			if err != nil || strings.Contains(string(head[:n+more]), "output") {
				t.Fatalf("read late by %s: %q, %v", late, head[:n+more], err)
			}
			n += more
		}
		if text, err := io.ReadAll(c); err != nil || string(text) != "output\r\n" {
			t.Errorf("read late by %s: %q, %v", late, text, err)
		}
		c.Close()
	}
	must(t, s, 204, "POST", "/containers/"+id+"/kill", "")
}

// dockerode asks once, as soon as it knows that the exec begins.
func TestAnExecIsResizedThatIsBeingBorn(t *testing.T) {
	f := newFakeWarden(t)
	asked := make(chan struct{})
	f.before = func(op wire.Op) {
		if op == wire.OpExecStart {
			<-asked
			time.Sleep(100 * time.Millisecond) // the request is on its way
		}
	}
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "sleep 100", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	exec := idOf(t, s, "/containers/"+id+"/exec", `{"Cmd":["sh","-c","read x; stty size"],"Tty":true,"AttachStdin":true,"AttachStdout":true}`)
	must(t, s, 409, "POST", "/exec/"+exec+"/resize?h=31&w=97", "")
	a, in := attach(t, s, "/exec/"+exec+"/start", `{"Tty":true}`)
	close(asked)
	must(t, s, 200, "POST", "/exec/"+exec+"/resize?h=31&w=97", "")
	fmt.Fprint(a, "\n")
	if text, err := io.ReadAll(in); err != nil || !strings.HasSuffix(string(text), "31 97\r\n") {
		t.Errorf("the terminal shows %q, %v", text, err)
	}
	must(t, s, 204, "POST", "/containers/"+id+"/kill", "")
}

func TestASlowClientHoldsUpNobodyElse(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "head -c 8000000 /dev/zero | tr '\\0' x; echo; echo end", `,
		"HostConfig":{"LogConfig":{"Type":"none"}}`)
	path := "/v1.50/containers/" + id + "/attach?stream=1&stdout=1&stderr=1"
	attach(t, s, path, "") // never reads
	_, fast := attach(t, s, path, "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	b, err := io.ReadAll(fast)
	if err != nil || !bytes.HasSuffix(b, []byte("end\n")) {
		t.Errorf("the fast client read %d bytes, %v", len(b), err)
	}
	must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
	must(t, s, 501, "GET", "/containers/"+id+"/logs?stdout=1", "")
}

func TestWaitConditions(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "exit 9", `,"HostConfig":{"AutoRemove":true}`)
	replies := make(chan string, 2)
	for _, cond := range []string{"removed", "next-exit"} {
		go func() { _, b := call(t, s, "POST", "/containers/"+id+"/wait?condition="+cond, ""); replies <- b }()
	}
	time.Sleep(50 * time.Millisecond)
	must(t, s, 400, "POST", "/containers/"+id+"/wait?condition=never", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	for range 2 {
		if b := <-replies; b != "{\"StatusCode\":9}\n" {
			t.Errorf("wait: %q", b)
		}
	}
	must(t, s, 404, "GET", "/containers/"+id+"/json", "")
}

func TestVolumesAreMadeHeldAndReleased(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "true", `,"HostConfig":{"Binds":["data:/data:ro"]},"Volumes":{"/anon":{}}`)
	list := must(t, s, 200, "GET", "/volumes", "")
	if strings.Count(list, `"Driver":"local"`) != 2 || !strings.Contains(list, `"Name":"data"`) {
		t.Errorf("volumes: %s", list)
	}
	for filter, want := range map[string]int{`{"name":["^da"]}`: 1, `{"name":["x{9999}"]}`: 0, `{"dangling":["true"]}`: 0,
		`{"dangling":["0","false"]}`: 2, `{"driver":["local"],"label":["com.docker.volume.anonymous"]}`: 1, `{"driver":["nfs"]}`: 0} {
		list := must(t, s, 200, "GET", "/volumes?filters="+url.QueryEscape(filter), "")
		if got := strings.Count(list, `"Driver":"local"`); got != want {
			t.Errorf("volumes by %s: %s", filter, list)
		}
	}
	for path, filter := range map[string]string{"GET /volumes": `{"dangling":["true","false"]}`, "GET /networks": `{"type":["x"]}`,
		"POST /volumes/prune": `{"until":["1h"]}`, "POST /containers/prune": `{"until":["1h","2h"]}`,
		"POST /networks/prune": `{"until":["soon"]}`, "GET /volumes ": `{"frob":["x"]}`} {
		method, path, _ := strings.Cut(strings.TrimSpace(path), " ")
		must(t, s, 400, method, path+"?filters="+url.QueryEscape(filter), "")
	}
	must(t, s, 409, "DELETE", "/volumes/data", "")
	must(t, s, 204, "DELETE", "/containers/"+id+"?v=1", "")
	if list := must(t, s, 200, "GET", "/volumes", ""); strings.Count(list, `"Driver":"local"`) != 1 {
		t.Errorf("after rm -v: %s", list)
	}
	must(t, s, 204, "DELETE", "/volumes/data", "")
	must(t, s, 404, "DELETE", "/volumes/data", "")
	must(t, s, 400, "POST", "/volumes/create", `{"Name":"../x"}`)
	must(t, s, 501, "POST", "/volumes/create", `{"Name":"xx","Driver":"nfs"}`)
}

func TestTheCallersConnectionTravelsWithARelaxation(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	for more, want := range map[string]int{"": 0, `,"HostConfig":{"Binds":["/tmp:/x"]}`: 1, `,
		"HostConfig":{"SecurityOpt":["no-new-privileges=false"]}`: 1} {
		f.mu.Lock()
		f.callers = 0
		f.mu.Unlock()
		id := create(t, s, "true", more)
		must(t, s, 204, "POST", "/containers/"+id+"/start", "")
		must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
		f.mu.Lock()
		got := f.callers
		f.mu.Unlock()
		if got != want {
			t.Errorf("with %q the caller came %d times, want %d", more, got, want)
		}
	}
}

// A profile means something else to a new kernel, and a record may be older.
func TestStartTakesTheProfileAsItIsCompiledNow(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "true", `,"HostConfig":{"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]}`)
	for range 2 {
		must(t, s, 204, "POST", "/containers/"+id+"/start", "")
		must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
		f.mu.Lock()
		got, want := f.specs[id].Process.Filter, fmt.Sprintf("%08d", compiled.Load())
		f.mu.Unlock()
		if got == nil || string(got.Program) != want {
			t.Errorf("started with filter %+v, the newest is %s", got, want)
		}
	}
}

func TestBodiesAreBoundedAndStrict(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	for body, want := range map[string]int{
		"":                              400,
		"[]":                            400,
		`{"Image":1}`:                   400,
		`{"Image":"test"} {}`:           400,
		`{"Image":"none"}`:              404,
		`{"Image":"test","Nonsense":1}`: 501,
		`{"Image":"test","HostConfig":{"Nonsense":1}}`:                    501,
		`{"Image":"test","HostConfig":{"Privileged":true}}`:               403,
		`{"Image":"test","Env":["` + strings.Repeat("x", 5<<20) + `=1"]}`: 400,
	} {
		must(t, s, want, "POST", "/containers/create", body)
	}
	must(t, s, 201, "POST", "/containers/create?name=twice", `{"Image":"test","name":"twice"}`) // as dockerode says it
	must(t, s, 400, "POST", "/containers/create?name=one", `{"Image":"test","name":"two"}`)
	must(t, s, 400, "POST", "/containers/create", `{"Image":"test","name":"two"}`)
	must(t, s, 201, "POST", "/containers/create", `{"Image":"test","VolumesFrom":[],"NetworkingConfig":{"bridge":null}}`)
	must(t, s, 400, "GET", "/v1.39/info", "")
	must(t, s, 400, "GET", "/v1.99/info", "")
	must(t, s, 501, "POST", "/build", "")
	must(t, s, 501, "POST", "/swarm/init", "{}")
	must(t, s, 404, "GET", "/nothing", "")
	must(t, s, 403, "DELETE", "/networks/bridge", "")
	must(t, s, 400, "POST", "/networks/create", "{}")
	must(t, s, 501, "POST", "/networks/create", `{"Name":"n","Nonsense":1}`)
	for _, path := range []string{"/_ping", "/v1.40/_ping", "/version", "/info", "/networks", "/networks/none",
		"/events?until=1", "/containers/json?all=1"} {
		must(t, s, 200, "GET", path, "")
	}
}

// The warden says in sentences what this kernel cannot give.
func TestInfoDoesNotPromiseWhatTheKernelLacks(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	info := must(t, s, 200, "GET", "/info", "")
	for _, want := range []string{`"SwapLimit":false`, `"MemoryLimit":true`, `"PidsLimit":true`, "swap accounting: "} {
		if !strings.Contains(info, want) {
			t.Errorf("no %s in %s", want, info)
		}
	}
}

func TestAContainerWithoutARecordIsSweptAtStart(t *testing.T) {
	f := newFakeWarden(t)
	id := strings.Repeat("5", 64)
	f.gone[id] = true
	startDaemon(t, f, t.TempDir())
	removed := f.count(wire.OpContainerRemove)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone[id] || removed != 1 {
		t.Error("it is still there")
	}
}

// BenchmarkStart measures what create, start and the end cost in brigd and the fake warden together.
func BenchmarkCreateStartEnd(b *testing.B) {
	f := newFakeWarden(b)
	s := startDaemon(b, f, b.TempDir()).socket
	for b.Loop() {
		id := create(b, s, "exit 0", `,"HostConfig":{"AutoRemove":true}`)
		must(b, s, 204, "POST", "/containers/"+id+"/start", "")
		call(b, s, "POST", "/containers/"+id+"/wait?condition=removed", "")
	}
}
