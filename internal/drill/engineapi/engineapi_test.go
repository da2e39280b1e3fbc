package engineapi

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/brig-engine/brig/internal/drill"
)

// fake is an engine that runs nothing: a container's output is made up from its command.
type fake struct {
	gullible bool // accepts layers without looking at their digests
	lazy     bool // the same, until a container is made of them
	output   func(args []string) string

	mu      sync.Mutex
	images  map[string]bool
	created []map[string]any
	pulled  []string // queries and credentials
	live    int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1.45")
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case path == "/version":
		io.WriteString(w, `{"Version":"1.2","ApiVersion":"1.45","Components":[{"Name":"Engine"}]}`)
	case path == "/images/load":
		f.load(w, r)
	case path == "/images/create":
		f.pull(w, r)
	case strings.HasPrefix(path, "/images/"):
		f.image(w, r, strings.TrimSuffix(strings.TrimPrefix(path, "/images/"), "/json"))
	case path == "/containers/create":
		var body map[string]any
		json.NewDecoder(r.Body).Decode(&body)
		if image, _ := body["Image"].(string); f.lazy && strings.Contains(image, "poisoned") {
			http.Error(w, `{"message":"no such layer"}`, http.StatusInternalServerError)
			return
		}
		f.created = append(f.created, body)
		f.live++
		fmt.Fprintf(w, `{"Id":"c%d"}`, len(f.created)-1)
	case strings.HasSuffix(path, "/wait"):
		io.WriteString(w, `{"StatusCode":0}`)
	case strings.HasSuffix(path, "/logs"):
		var n int
		fmt.Sscanf(path, "/containers/c%d/logs", &n)
		w.Write(append(frame(2, "noise on standard error\n"), frame(1, f.output(args(f.created[n])))...))
	case strings.HasSuffix(path, "/exec"):
		io.WriteString(w, `{"Id":"e1"}`)
	case path == "/exec/e1/start":
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			fmt.Fprint(c, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
			c.Write(frame(1, "from the exec\n"))
			c.Close()
		}
	case path == "/exec/e1/json":
		io.WriteString(w, `{"ExitCode":0}`)
	case r.Method == http.MethodDelete:
		f.live--
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(path, "/start"):
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(path, "/json"):
		io.WriteString(w, `{"State":{"Running":true,"Pid":0},"NetworkSettings":{"Networks":{"bridge":{
			"IPAddress":"172.17.0.2","Gateway":"172.17.0.1"}},"Ports":{"8080/tcp":[
			{"HostIp":"127.0.0.1","HostPort":"40000"}]}}}`)
	default:
		http.Error(w, `{"message":"not here"}`, http.StatusNotFound)
	}
}

func args(body map[string]any) (list []string) {
	for _, key := range []string{"Entrypoint", "Cmd"} {
		values, _ := body[key].([]any)
		for _, v := range values {
			list = append(list, v.(string))
		}
	}
	return list
}

func (f *fake) load(w http.ResponseWriter, r *http.Request) {
	name, sound := "", true
	t := tar.NewReader(r.Body)
	for {
		h, err := t.Next()
		if err != nil {
			break
		}
		content, _ := io.ReadAll(t)
		if hex, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok && h.Typeflag == tar.TypeReg {
			sound = sound && sum(content) == hex
		}
		if h.Name == "manifest.json" {
			var m []struct{ RepoTags []string }
			json.Unmarshal(content, &m)
			name = m[0].RepoTags[0]
		}
	}
	if !sound && !f.gullible && !f.lazy {
		io.WriteString(w, `{"errorDetail":{"message":"layer is not its digest"},"error":"layer is not its digest"}`)
		return
	}
	f.images[name] = true
	io.WriteString(w, `{"stream":"Loaded image: `+name+`"}`)
}

// pull accepts nothing; its answer is a refusal in one of the two places where one can stand.
func (f *fake) pull(w http.ResponseWriter, r *http.Request) {
	f.pulled = append(f.pulled, r.URL.RawQuery+" "+r.Header.Get("X-Registry-Auth"))
	if strings.HasSuffix(r.URL.Query().Get("fromImage"), ":early") {
		http.Error(w, `{"message":"no such registry"}`, http.StatusNotFound)
		return
	}
	io.WriteString(w, `{"status":"Pulling","id":"late"}`+"\n"+`{"errorDetail":{"message":"it lies"},"error":"it lies"}`)
}

func (f *fake) image(w http.ResponseWriter, r *http.Request, name string) {
	switch {
	case !f.images[name]:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"message":"no such image"}`)
	case r.Method == http.MethodDelete:
		delete(f.images, name)
	}
}

func frame(stream byte, text string) []byte {
	head := []byte{stream, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return append(head, text...)
}

func serve(t *testing.T, f *fake) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "fe") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	f.images = map[string]bool{}
	s := &http.Server{Handler: f}
	go s.Serve(l)
	t.Cleanup(func() {
		s.Close()
		os.RemoveAll(dir)
	})
	e, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func echoVerdict(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return `{"probe":"` + args[1] +
		`","attack":"A1","verdict":"blocked","layer":"seccomp","detail":"EPERM","duration_ms":1}` + "\n"
}

func drillFake(t *testing.T, f *fake, probes ...string) map[string]drill.Verdict {
	t.Helper()
	program := filepath.Join(t.TempDir(), "brig-probe")
	if err := os.WriteFile(program, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := drill.Run(t.Context(), serve(t, f), drill.Options{Program: program, Only: probes})
	if err != nil {
		t.Fatal(err)
	}
	if r.Engine != "docker 1.2" || len(r.StartMS) == 0 {
		t.Errorf("report of %q with %d starts", r.Engine, len(r.StartMS))
	}
	if f.live != 0 || len(f.images) != 0 {
		t.Errorf("%d containers and the images %v were left behind", f.live, f.images)
	}
	found := map[string]drill.Verdict{}
	for _, v := range r.Verdicts {
		found[v.Probe] = v
	}
	return found
}

func TestAVerdictIsWhatTheEngineDidAndNotWhatItSays(t *testing.T) {
	v := drillFake(t, &fake{output: echoVerdict}, "system-calls", "layer-digest")
	if got := v["system-calls"]; got.Verdict != drill.Blocked || got.Layer != "seccomp" {
		t.Errorf("system-calls: %+v", got)
	}
	if got := v["layer-digest"]; got.Verdict != drill.Blocked || !strings.Contains(got.Detail, "layer is not its digest") {
		t.Errorf("an engine that refuses: %+v", got)
	}
	v = drillFake(t, &fake{output: echoVerdict, gullible: true}, "layer-digest")
	if got := v["layer-digest"]; got.Verdict != drill.Exposed {
		t.Errorf("an engine that accepts a false layer: %+v", got)
	}
	v = drillFake(t, &fake{output: echoVerdict, lazy: true}, "layer-digest", "escaping-entries")
	if got := v["layer-digest"]; got.Verdict != drill.Blocked || !strings.Contains(got.Detail, "no such layer") {
		t.Errorf("an engine that looks when a container is made: %+v", got)
	}
	if got := v["escaping-entries"]; got.Verdict != drill.Blocked || !strings.Contains(got.Detail, "no such layer") {
		t.Errorf("an engine that unpacks when a container is made: %+v", got)
	}
}

func TestOutputThatIsNoVerdictIsNeverBlocked(t *testing.T) {
	for _, output := range []string{"", "segmentation fault\n", `{"verdict":"blocked","extra":1}`, `{"verdict":"safe"}`,
		`{"verdict":"look-outside"}`, `{"verdict":"blocked"} {}`} {
		v := drillFake(t, &fake{output: func([]string) string { return output }}, "abi-32")
		if got := v["abi-32"]; got.Verdict != drill.CouldNotTry {
			t.Errorf("output %q: %+v", output, got)
		}
	}
}

func TestContainersOfTheDrillHaveDefaultOptions(t *testing.T) {
	f := &fake{output: echoVerdict}
	drillFake(t, f, "abi-32")
	for _, body := range f.created {
		for key, value := range body {
			switch key {
			case "Image", "Entrypoint", "Cmd", "Env":
			case "HostConfig":
				if host := value.(map[string]any); len(host) != 1 || host["PortBindings"] == nil {
					t.Errorf("%v asks for %v", args(body), host)
				}
			case "ExposedPorts":
			default:
				t.Errorf("%v asks for %s", args(body), key)
			}
		}
	}
}

// A pull's refusal stands in the status or, after status 200, among the messages of its progress.
func TestPullSaysWhatWasRefused(t *testing.T) {
	f := &fake{}
	e := serve(t, f)
	err := e.Pull(t.Context(), "127.0.0.1:5000/team/app:late", drill.Login{Username: "ann", Password: "pw?>"})
	if err == nil || err.Error() != "it lies" {
		t.Errorf("in the stream: %v", err)
	}
	err = e.Pull(t.Context(), "192.0.2.254:5000/team/app:early", drill.Login{})
	if err == nil || !strings.Contains(err.Error(), "no such registry") {
		t.Errorf("in the status: %v", err)
	}
	query, header, _ := strings.Cut(f.pulled[0], " ")
	plain, err := base64.URLEncoding.DecodeString(header)
	if err != nil || string(plain) != `{"password":"pw?\u003e","serveraddress":"127.0.0.1:5000","username":"ann"}` {
		t.Errorf("credentials %s, %v", plain, err)
	}
	if query != "fromImage=127.0.0.1%3A5000%2Fteam%2Fapp%3Alate&tlsVerify=false" {
		t.Errorf("query %s", query)
	}
	// Beyond this machine nothing is relaxed, and nobody's credentials are nobody's.
	if f.pulled[1] != "fromImage=192.0.2.254%3A5000%2Fteam%2Fapp%3Aearly " {
		t.Errorf("query %s", f.pulled[1])
	}
}

func TestUserAndDirectoryAreAskedForOnlyIfNamed(t *testing.T) {
	f := &fake{output: echoVerdict}
	e := serve(t, f)
	for _, spec := range []drill.Spec{{Image: "x", Args: []string{"/bin/id"}},
		{Image: "x", Args: []string{"/bin/id"}, User: "1000", WorkDir: "/proc/self/fd/7"}} {
		if _, err := e.Start(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, named := f.created[0]["User"]; named || f.created[1]["User"] != "1000" || f.created[1]["WorkingDir"] != "/proc/self/fd/7" {
		t.Errorf("%v", f.created)
	}
}

func TestExecReadsTheUpgradedStream(t *testing.T) {
	e := serve(t, &fake{output: echoVerdict})
	b, err := e.Start(t.Context(), drill.Spec{Image: "x", Args: []string{"/bin/sleep"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Exec(t.Context(), "/bin/true")
	if err != nil || string(out) != "from the exec\n" {
		t.Errorf("%q, %v", out, err)
	}
	info, err := b.Info(t.Context())
	want := drill.Info{IP: "172.17.0.2", Gateway: "172.17.0.1", Published: "127.0.0.1:40000"}
	if err != nil || info != want {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestFramesOfAStrangerAreBounded(t *testing.T) {
	for _, c := range []struct {
		name, in, out string
		fails         bool
	}{
		{"two frames", string(frame(1, "a")) + string(frame(1, "b")), "ab", false},
		{"standard error is left out", string(frame(2, "x")) + string(frame(1, "y")), "y", false},
		{"cut off", string(frame(1, "abc"))[:9], "", true},
		{"cut off in the header", string(frame(1, "abc"))[:5], "", true},
		{"not framed", "plain text that is long enough", "", true},
		{"a huge frame", "\x01\x00\x00\x00\xff\xff\xff\xff", "", true},
		{"many frames", strings.Repeat(string(frame(1, strings.Repeat("x", 4096))), 20), "", true},
	} {
		out, err := stdout(strings.NewReader(c.in))
		if (err != nil) != c.fails || string(out) != c.out {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
	}
}

func FuzzStdout(f *testing.F) {
	f.Add(frame(1, "abc"))
	f.Add([]byte{1, 0, 0, 0, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		if out, err := stdout(bytes.NewReader(in)); err == nil && len(out) > maxOutput {
			t.Errorf("%d bytes", len(out))
		}
	})
}

func TestNobodyAnswersIsAnError(t *testing.T) {
	if _, err := Dial(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func TestOneReasonOfManyIsTold(t *testing.T) {
	podman := "failed to load image: payload does not match any of the supported image formats:\n * oci: no directory\n" +
		" * docker-archive: Digest did not match\n * dir: no directory"
	for text, want := range map[string]string{podman: "Digest did not match", "no such image": "no such image"} {
		if got := ownFormat(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
