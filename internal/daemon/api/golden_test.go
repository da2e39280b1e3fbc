package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	brignet "github.com/brig-engine/brig/internal/daemon/network"
)

var update = flag.Bool("update", false, "write the golden files")

// stable replaces what differs from run to run: ids, names that were made up, times and process ids.
func stable(t *testing.T, body string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(body), "", " "); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	s := out.String()
	for _, r := range [][2]string{
		{`"[0-9a-f]{12}"`, `"SHORT"`}, {`HOSTNAME=[0-9a-f]{12}`, `HOSTNAME=SHORT`}, {`"Pid": [1-9][0-9]*`, `"Pid": 1`},
		{`"20\d\d-\d\d-\d\dT[0-9:.]+Z"`, `"TIME"`}, {`"Created": \d+`, `"Created": 1`}, {`Up [^"]+`, `Up SOME TIME`},
		{`\) [^"]+ ago`, `) SOME TIME ago`},
	} {
		s = regexp.MustCompile(r[0]).ReplaceAllString(s, r[1])
	}
	ids := map[string]string{}
	s = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllStringFunc(s, func(id string) string {
		if ids[id] == "" {
			ids[id] = "ID" + string(rune('A'+len(ids)))
		}
		return ids[id]
	})
	return []byte(s + "\n")
}

func TestRepliesHaveTheseShapes(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	body := `{"Image":"test","Cmd":["sleep","100"],"Labels":{"a":"b"},"User":"app","HostConfig":{"Binds":["data:/data"],
		"Memory":67108864}}`
	must(t, s, 201, "POST", "/containers/create?name=one", body)
	must(t, s, 201, "POST", "/containers/create?name=two", `{"Image":"test","Cmd":["sh","-c","exit 3"],
		"HostConfig":{"NetworkMode":"none"}}`)
	must(t, s, 204, "POST", "/containers/one/start", "")
	must(t, s, 204, "POST", "/containers/two/start", "")
	must(t, s, 200, "POST", "/containers/two/wait", "")
	for name, path := range map[string]string{
		"ps.json":            "/v1.50/containers/json?all=1",
		"inspect-1.50.json":  "/v1.50/containers/one/json",
		"inspect-1.56.json":  "/v1.56/containers/one/json",
		"inspect-ended.json": "/v1.56/containers/two/json",
		"volume.json":        "/v1.50/volumes/data",
		"df-1.40.json":       "/v1.40/system/df",
		"df-1.50.json":       "/v1.50/system/df",
		"df-1.50-some.json":  "/v1.50/system/df?type=volume&type=build-cache",
		"df-1.56.json":       "/v1.56/system/df?verbose=0",
		"df-1.56-all.json":   "/v1.56/system/df?verbose=1&type=image",
	} {
		got := stable(t, must(t, s, 200, "GET", path, ""))
		golden(t, name, got)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", file, got)
	}
}

func TestContainersAreListedByFilters(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	must(t, s, 201, "POST", "/containers/create?name=one", `{"Image":"test","Cmd":["sleep","9"],"Labels":{"a":"b"},
		"ExposedPorts":{"80/tcp":{}}}`)
	must(t, s, 201, "POST", "/containers/create?name=two", `{"Image":"test","Volumes":{"/v":{}},
		"HostConfig":{"NetworkMode":"none","Annotations":{"k":"v"}}}`)
	must(t, s, 409, "POST", "/containers/create?name=two", `{"Image":"test"}`)
	must(t, s, 204, "POST", "/containers/one/start", "")
	must(t, s, 304, "POST", "/containers/one/start", "")
	must(t, s, 304, "POST", "/containers/two/stop", "")
	noneID := brignet.ID("brig", "none")[:7]
	for filter, want := range map[string]string{
		`{}`: "one,two", `{"name":["one"]}`: "one", `{"label":["a=b"]}`: "one", `{"label":["a=c"]}`: "",
		`{"label!":["a"]}`:       "two",
		`{"status":["created"]}`: "two", `{"status":{"running":true}}`: "one", `{"network":["none"]}`: "two",
		`{"ancestor":["test"]}`:  "one,two",
		`{"ancestor":["other"]}`: "", `{"volume":["/v"]}`: "two", `{"since":["one"]}`: "two", `{"before":["two"]}`: "one",
		`{"expose":["80"]}`:        "one",
		`{"expose":["81-90/tcp"]}`: "", `{"annotation":["k=v"]}`: "two", `{"health":["none"]}`: "one,two",
		`{"exited":["0"]}`: "", `{"is-task":["true"]}`: "", `{"name":["^one$"]}`: "one", `{"name":["^/t"]}`: "two",
		`{"name":["o"]}`: "one,two", `{"name":["("]}`: "", `{"network":["` + noneID + `"]}`: "two", `{"isolation":["x"]}`: "one,two",
		`{"ancestor":["sha256:` + strings.Repeat("ab", 32) + `"]}`: "one,two", `{"publish":["80"],"expose":["80"]}`: "one",
	} {
		var list []struct{ Names []string }
		if err := json.Unmarshal([]byte(must(t, s, 200, "GET",
			"/v1.56/containers/json?all=1&filters="+url.QueryEscape(filter), "")), &list); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append([]string{strings.TrimPrefix(c.Names[0], "/")}, got...)
		}
		if strings.Join(got, ",") != want {
			t.Errorf("filters %s: %v, want %s", filter, got, want)
		}
	}
	for _, bad := range []string{`{"nonsense":["x"]}`, `{"status":["x"]}`, `{"exited":["x"]}`, `{"publish":["x"]}`, `{"health":["x"]}`, `[`} {
		must(t, s, 400, "GET", "/containers/json?filters="+url.QueryEscape(bad), "")
	}
	must(t, s, 204, "POST", "/containers/one/stop?t=0", "")
	exited := "/containers/json?filters=" + url.QueryEscape(`{"exited":["143","137"]}`)
	if got := must(t, s, 200, "GET", exited, ""); got != "[]\n" {
		t.Errorf("exited without all: %s", got)
	}
	if got := must(t, s, 200, "GET", exited+"&all=1", ""); !strings.Contains(got, "/one") {
		t.Errorf("exited with all: %s", got)
	}
	must(t, s, 404, "GET", "/containers/json?filters="+url.QueryEscape(`{"since":["x"]}`), "")
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"stdout=1&tail=5&since=1.5&until=2026-01-01T00:00:00Z", "stderr=1&since=10m",
		"filters={\"a\":{\"b\":true}}&h=1&w=2",
		"t=-1&filters=[]", "since=-9999999999&stdout=1", "since=1.-5&stdout=1"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		v, err := url.ParseQuery(q)
		if err != nil {
			return
		}
		now := time.Unix(1_000_000_000, 0)
		lq, _, err := logQuery(v, now)
		if err == nil && !lq.Stdout && !lq.Stderr {
			t.Error("a query without a stream")
		}
		r := httptest.NewRequest("GET", "/?"+v.Encode(), nil)
		if fl, err := parseFilters(r, "a"); err == nil {
			fl.labels(map[string]string{"a": "b"})
			for name := range fl {
				if name != "a" {
					t.Errorf("filter %q passed", name)
				}
			}
		}
		if rows, cols, err := sizeParams(r); err == nil && (r.FormValue("h") == "" || r.FormValue("w") == "") {
			t.Errorf("%d×%d of nothing", rows, cols)
		}
		if _, err := stopOptions(r); err == nil {
			boolParam(r, "force")
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add("/v1.50/containers/json")
	f.Add("/v1./x")
	f.Add("/v1.999999999999/")
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		got, err := stripVersion(r)
		if err != nil {
			return
		}
		if v := Version(got); v < 40 || v > 56 {
			t.Errorf("%q is version %d", path, v)
		}
	})
}

// Scripts that ask for names alone get nothing else, in the same order and by the same filters.
func TestAListOfIDsIsNothingButIDs(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	var ids []string
	for _, name := range []string{"one", "two", "three"} {
		ids = append(ids, create(t, s, "sleep 9", `,"Labels":{"name":"`+name+`"}`))
	}
	ask := func(query, fields string) (int, string) {
		code, body := call(t, s, "GET", "/containers/json"+query, "", FieldsHeader+": "+fields)
		return code, strings.TrimSpace(body)
	}
	entry := func(i int) string { return `{"Id":"` + ids[i] + `"}` }
	for query, want := range map[string]string{
		"":       "[]",
		"?all=1": "[" + entry(2) + "," + entry(1) + "," + entry(0) + "]", "?limit=2": "[" + entry(2) + "," + entry(1) + "]",
		"?all=1&filters=" + url.QueryEscape(`{"label":["name=two"]}`): "[" + entry(1) + "]",
	} {
		if code, got := ask(query, "Id"); code != 200 || got != want {
			t.Errorf("%s: %d %s, want %s", query, code, got, want)
		}
	}
	if code, got := ask("", "Names"); code != 400 || !strings.Contains(got, `\"Names\"`) {
		t.Errorf("another field: %d %s", code, got)
	}
}

// What would be refused is said with the words of the refusal, and nothing is made.
func TestARequestIsCheckedAndNotCarriedOut(t *testing.T) {
	s := startDaemon(t, newFakeWarden(t), t.TempDir()).socket
	for _, c := range []struct{ query, body, want string }{
		{"", `{"Image":"test"}`, `{"Allowed":true,"Level":"standard","Refusals":[],"Granted":[],"Warnings":[]}`},
		{"?name=x", `{"Image":"test","HostConfig":{"Privileged":true,"CgroupParent":"/x","Ulimits":[{"Name":"core","Soft":-1,"Hard":-1}]}}`,
			`"Option":"--privileged"`},
	} {
		got := strings.TrimSpace(must(t, s, 200, "POST", "/v1.50/brig/policy/check"+c.query, c.body))
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.body, got, c.want)
		}
		var v verdict
		if err := json.Unmarshal([]byte(got), &v); err != nil {
			t.Fatal(err)
		}
		if v.Allowed != (len(v.Refusals) == 0) || !v.Allowed && len(v.Refusals) != 3 {
			t.Errorf("%s: %+v", c.body, v)
		}
		want := 201
		if !v.Allowed {
			want = v.Refusals[0].Status
		}
		code, reply := call(t, s, "POST", "/v1.50/containers/create"+c.query, c.body)
		for _, r := range v.Refusals {
			if !strings.Contains(reply, r.Option) || !strings.Contains(reply, r.Reason) {
				t.Errorf("%s: the request itself is answered %s, not %+v", c.body, reply, r)
			}
		}
		if code != want {
			t.Errorf("%s: status %d, want %d: %s", c.body, code, want, reply)
		}
	}
	must(t, s, 404, "POST", "/brig/policy/check", `{"Image":"nothing"}`)
	must(t, s, 501, "POST", "/brig/policy/check", `{"Image":"test","Nonsense":1}`)
	if list := must(t, s, 200, "GET", "/containers/json?all=1", ""); strings.Count(list, `"Id"`) != 1 {
		t.Errorf("a check has made a container: %s", list)
	}
}
