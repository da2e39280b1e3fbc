package api

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// The life of a container, as it is counted, read through the socket.
func TestMetricsThroughTheSocket(t *testing.T) {
	f := newFakeWarden(t)
	d := startDaemon(t, f, t.TempDir())
	code, body := call(t, d.socket, "POST", "/containers/create?name=one", `{"Image":"test","Cmd":["sh","-c","echo out; sleep 60"]}`)
	if code != 201 {
		t.Fatal(code, body)
	}
	call(t, d.socket, "POST", "/containers/one/start", "")
	call(t, d.socket, "POST", "/containers/one/start", "") // is no start
	call(t, d.socket, "GET", "/v1.45/containers/one/json", "")
	call(t, d.socket, "GET", "/containers/none/json", "")
	call(t, d.socket, "GET", "/images/a/b/json", "")
	call(t, d.socket, "BREW", "/coffee", "")
	eventually(t, "its line in the log", func() bool { return d.server.Logs.Bytes.Load() == 4 })
	read := func() []string {
		code, body := call(t, d.socket, "GET", "/metrics", "")
		if code != 200 {
			t.Fatal(code, body)
		}
		return strings.Split(body, "\n")
	}
	expect := func(lines ...string) {
		t.Helper()
		got := read()
		for _, line := range lines {
			if !slices.Contains(got, line) {
				t.Errorf("not there: %s", line)
			}
		}
		if t.Failed() {
			t.Log(strings.Join(slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "go_") || strings.HasPrefix(s, "#") }), "\n"))
		}
	}
	// The last caller may still be on its way out.
	eventually(t, "one connection, its own", func() bool { return slices.Contains(read(), `brig_api_connections 1`) })
	expect(`engine_daemon_container_states_containers{state="running"} 1`,
		`engine_daemon_container_actions_seconds_count{action="create"} 1`, `engine_daemon_container_actions_seconds_count{action="start"} 1`,
		`brig_container_starts_total 1`, `brig_log_written_bytes_total 4`, `brig_warden_call_seconds_count{op="container.start"} 1`,
		`brig_api_requests_total{code="201",route="POST /containers/create"} 1`,
		`brig_api_requests_total{code="304",route="POST /containers/{id}/start"} 1`,
		`brig_api_requests_total{code="200",route="GET /containers/{id}/json"} 1`,
		`brig_api_requests_total{code="404",route="GET /containers/{id}/json"} 1`,
		`brig_api_requests_total{code="404",route="GET /images/{name}/json"} 1`,
		`brig_api_requests_total{code="404",route="other"} 1`)
	call(t, d.socket, "DELETE", "/containers/one?force=1", "")
	expect(`engine_daemon_container_states_containers{state="running"} 0`,
		`engine_daemon_container_actions_seconds_count{action="delete"} 1`, `brig_container_exits_total 1`)
}

// Nobody makes as many series as he likes.
func TestRoutesAreAClosedList(t *testing.T) {
	for path, want := range map[string]string{
		"GET /images/json": "GET /images/json", "GET /images/a/json": "GET /images/{name}/json",
		"GET /images/r:5/a/b/c/history": "GET /images/{name}/history", "GET /images/a/b/c": "other", "GET /images/": "other",
		"DELETE /images/a/b": "DELETE /images/{name}", "BREW /images/json": "other", "POST /images/a/push": "POST /images/{name}/push",
		"GET /images/x/evil": "other",
	} {
		method, p, _ := strings.Cut(path, " ")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL.Path = method, p
		if got := route("/images/", r); got != want {
			t.Errorf("%s counts as %s, want %s", path, got, want)
		}
	}
}
