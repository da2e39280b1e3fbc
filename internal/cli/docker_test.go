package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
)

// creations reads testdata/creations.txt: command lines by name.
func creations(t *testing.T, files string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "creations.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, paragraph := range strings.Split(string(text), "\n\n")[1:] {
		name, line, _ := strings.Cut(paragraph, ":")
		for _, word := range strings.Fields(line) {
			word = strings.NewReplacer("FILES", files, "_", " ", "''", "").Replace(word)
			all[name] = append(all[name], word)
		}
	}
	return all
}

func creationFiles(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"env":          "# a comment\nFROM_FILE=1\n\n  INDENTED=x y\nNOT_SET_ANYWHERE\n",
		"labels":       "from=file\n",
		"seccomp.json": "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCreateBodies pins the body that each option makes.
func TestCreateBodies(t *testing.T) {
	files := creationFiles(t)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	all := creations(t, files)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := newFake(t)
		f.program(nil)
		if r := f.brig("", append([]string{"create"}, all[name]...)...); r.code != 0 {
			t.Fatalf("%s: %+v", name, r)
		}
		sent := f.last("POST /containers/create")
		text := strings.ReplaceAll(compact(t, sent.Body), wd, "WD")
		fmt.Fprintf(&b, "%s\n%s\n%s\n", name, sent.Line, text)
	}
	golden(t, "create.txt", b.String())
}

// TestCreateSendsWhatDockerSends runs Docker's own client with the same options against the same engine.
func TestCreateSendsWhatDockerSends(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	files := creationFiles(t)
	for name, args := range creations(t, files) {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.program(nil)
			if r := f.brig("", append([]string{"create"}, args...)...); r.code != 0 {
				t.Fatalf("brig: %+v", r)
			}
			ours := f.last("POST /containers/create")
			cmd := exec.Command(docker, append([]string{"-H", f.host, "create"}, args...)...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/nonexistent"}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("docker: %v: %s", err, out)
			}
			theirs := f.last("POST /containers/create")
			if ours == theirs {
				t.Fatal("docker sent nothing")
			}
			if ours.Line != theirs.Line {
				t.Errorf("brig sends %s\ndocker %s", ours.Line, theirs.Line)
			}
			a, b := compact(t, ours.Body), compact(t, theirs.Body)
			if a != b {
				t.Errorf("brig sends\n%s\ndocker\n%s", a, b)
			}
		})
	}
}

// compact drops what says nothing: null, "", 0, false, empty lists and objects, and the two values that Docker's client
// spells out for "not set".
func compact(t *testing.T, body string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	host := v.(map[string]any)["HostConfig"].(map[string]any)
	if reflect.DeepEqual(host["MemorySwappiness"], float64(-1)) {
		delete(host, "MemorySwappiness")
	}
	// An empty list of masked paths is not the same as none.
	for _, key := range []string{"MaskedPaths", "ReadonlyPaths"} {
		if list, ok := host[key].([]any); ok && len(list) == 0 {
			host[key] = "empty"
		}
	}
	// Docker's client sends these in the order of a map.
	for _, list := range []any{host["Binds"], v.(map[string]any)["Env"]} {
		if list, ok := list.([]any); ok {
			sort.Slice(list, func(i, j int) bool { return list[i].(string) < list[j].(string) })
		}
	}
	v = prune(v, "")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// prune keeps the keys of sets (ports, volumes, networks), which are values themselves.
func prune(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		isSet := key == "ExposedPorts" || key == "Volumes" || key == "Tmpfs" || key == "Labels" || key == "PortBindings"
		for k := range v {
			if v[k] = prune(v[k], k); v[k] == nil && !isSet {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		zero := true
		for i := range v {
			p := prune(v[i], "")
			zero = zero && p == nil
			if _, isText := v[i].(string); p != nil || !isText {
				v[i] = p
			}
		}
		if _, text := firstOf(v).(string); zero && !text {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

func firstOf(list []any) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// TestOtherRequestsAreDockers runs both command lines against the same engine for everything but create. What Docker's
// client asks in addition (a container's configuration before logs, a ping) is left out of the comparison.
func TestOtherRequestsAreDockers(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	for _, args := range []string{
		"stop -t 5 -s TERM web", "restart -t 3 web", "kill -s HUP web", "rm -fv web", "rename web www", "wait web",
		"top web -ef",
		"ps", "ps -a -s -n 3 -f name=x -f status=running", "ps -l", "logs -t --details -n 5 --until 1600000000 web",
		"images -a -f dangling=true", "images foo:bar", "rmi -f alpine", "rmi --no-prune alpine", "history alpine",
		"volume ls -f name=x", "volume create --label a=b -o type=tmpfs v", "volume create", "volume rm -f v",
		"volume inspect v",
		"network ls -f driver=bridge", "network inspect bridge", "info", "version", "inspect -s --type container web",
		"image inspect alpine", "image inspect --platform linux/amd64 alpine", "network inspect -v bridge",
		"events --since 2026-01-02T15:04:05 --until 2026-01-03T15:00:00.5Z -f type=container -f event=start -f event=die",
		"system events --since 1600000000", "ps --format json", "ps --format {{.Size}}", "ps --format {{.Names}} -q",
		"container prune -f --filter label=a --filter until=24h", "image prune -f", "image prune -af --filter until=2026-01-02",
		"volume prune -f", "volume prune -af --filter label!=x", "network prune -f", "system df", "system df -v",
		"system prune -f", "system prune -af --volumes --filter label=x", "system info", "container ls -aq", "image ls -q",
		"exec -d -e A=b -u 5 -w /x --privileged web sh -c x", "exec -d -t web sh",
	} {
		t.Run(args, func(t *testing.T) {
			f := newFake(t)
			layReplies(f)
			layMore(f)
			if r := f.brig("", strings.Fields(args)...); r.code != 0 {
				t.Fatalf("brig: %+v", r)
			}
			ours := f.requests(t)
			cmd := exec.Command(docker, append([]string{"-H", f.host}, strings.Fields(args)...)...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/nonexistent", "LANG=C"}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("docker: %v: %s", err, out)
			}
			theirs := f.requests(t)
			all := strings.Contains(args, "prune") // all of them, then
			if len(theirs) == 0 || ours[len(ours)-1] != theirs[len(theirs)-1] || all && !slices.Equal(ours, theirs) {
				t.Errorf("brig sends %q\ndocker %q", ours, theirs)
			}
		})
	}
}

func layMore(f *fakeEngine) {
	for _, line := range []string{"POST /containers/web/restart", "DELETE /volumes/v"} {
		f.json(line, 204, "")
	}
	f.on("GET /containers/aaaaaaaaaaaaaaaaaaaa/logs", func(http.ResponseWriter, *http.Request) {})
	f.json("GET /volumes/v", 200, `{"Name":"v"}`)
	f.json("GET /networks/bridge", 200, `{"Name":"bridge","Id":"n"}`)
	f.json("POST /containers/web/exec", 201, `{"Id":"e1"}`)
	f.json("POST /exec/e1/start", 200, "")
}

// requests returns what was asked since the last call, with bodies in a canonical form.
func (f *fakeEngine) requests(t *testing.T) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.seen {
		// Docker's client has looked the name up before.
		line := strings.ReplaceAll(r.Line, "aaaaaaaaaaaaaaaaaaaa", "web")
		if r.Body != "" {
			var v any
			if err := json.Unmarshal([]byte(r.Body), &v); err != nil {
				t.Fatal(err)
			}
			body, _ := json.Marshal(prune(v, ""))
			line += " " + string(body)
		}
		out = append(out, line)
	}
	f.seen = nil
	return out
}
