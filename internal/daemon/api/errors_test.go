package api

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// What goes wrong has the status that Docker's daemon gives it, and an object with a message, in Docker's words where
// clients are known to read them. ID stands for an id; a message that ends in … may go on. An own word after the path says
// that Brig differs, on purpose, and why.
var wrong = []struct {
	request, body string
	status        int
	message       string
}{
	// Which API, and which endpoint.
	{"GET /nope", "", 404, "page not found"},
	{"POST /info", "", 404, "page not found"},
	{"GET /v1.10/info", "", 400, "client version 1.10 is too old. Minimum supported API version is " + MinVersion + ", please upgrade your client to a newer version"},
	{"GET /v1.99/info", "", 400, "client version 1.99 is too new. Maximum supported API version is " + MaxVersion},
	// A container that is not there.
	{"GET /containers/nope/json", "", 404, "No such container: nope"},
	{"POST /containers/nope/start", "", 404, "No such container: nope"},
	{"POST /containers/nope/stop", "", 404, "No such container: nope"},
	{"POST /containers/nope/restart", "", 404, "No such container: nope"},
	{"POST /containers/nope/kill", "", 404, "cannot kill container: nope: No such container: nope"},
	{"POST /containers/nope/pause", "", 404, "No such container: nope"},
	{"POST /containers/nope/unpause", "", 404, "No such container: nope"},
	{"POST /containers/nope/wait", "", 404, "No such container: nope"},
	{"POST /containers/nope/attach", "", 404, "No such container: nope"},
	{"POST /containers/nope/exec", `{"Cmd":["x"]}`, 404, "No such container: nope"},
	{"POST /containers/nope/rename?name=x", "", 404, "No such container: nope"},
	{"POST /containers/nope/resize?h=1&w=1", "", 404, "No such container: nope"},
	{"POST /containers/nope/update", "{}", 404, "No such container: nope"},
	{"GET /containers/nope/logs?stdout=1", "", 404, "No such container: nope"},
	{"GET /containers/nope/stats?stream=0", "", 404, "No such container: nope"},
	{"GET /containers/nope/top", "", 404, "No such container: nope"},
	{"GET /containers/nope/changes", "", 404, "No such container: nope"},
	{"GET /containers/nope/export", "", 404, "No such container: nope"},
	{"GET /containers/nope/archive?path=/", "", 404, "No such container: nope"},
	{"POST /commit?container=nope", "", 404, "No such container: nope"},
	{"DELETE /containers/nope", "", 404, "No such container: nope"},
	// Creation.
	{"POST /containers/create", "", 400, "…"},
	{"POST /containers/create", "{", 400, "…"},
	{"POST /containers/create", "[]", 400, "…"},
	{"POST /containers/create", `{"Image":"test"} {}`, 400, "…"},
	{"POST /containers/create", `{"Image":"nope"}`, 404, "No such image: nope"},
	{"POST /containers/create?name=running", `{"Image":"test"}`, 409, `Conflict. The container name "/running" is already in use by container "ID". You have to remove (or rename) that container to be able to reuse that name.`},
	{"POST /containers/create?name=a%20b", `{"Image":"test"}`, 400, "…"},
	{"POST /containers/create?platform=windows/amd64", `{"Image":"test"}`, 404, "…"},
	{"POST /containers/create", `{"Image":"test","HostConfig":{"Memory":1}}`, 400, "…"},
	{"POST /containers/create", `{"Image":"test","HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}`, 400, "…"},
	{"POST /containers/create", `{"Image":"test","HostConfig":{"PortBindings":{"99999/tcp":[{}]}}}`, 400, "…"},
	{"POST /containers/create", `{"Image":"test","StopSignal":"NOPE"}`, 400, "…"},
	{"POST /containers/create", `{"Image":"test","WorkingDir":"relative"}`, 400, "…"},
	{"POST /containers/create", `{"Image":"test","HostConfig":{"LogConfig":{"Type":"nope"}}}`, 400, "…"},
	// A 404 would have docker run pull the image; dockerd says it at the start.
	{"POST /containers/create", `{"Image":"test","HostConfig":{"NetworkMode":"nope"}}`, 400, "…"},
	// States.
	{"POST /containers/running/start", "", 304, ""},
	{"POST /containers/created/stop", "", 304, ""},
	{"POST /containers/created/kill", "", 409, "cannot kill container: created: container ID is not running"},
	{"POST /containers/running/kill?signal=NOPE", "", 400, "invalid signal: NOPE"},
	{"POST /containers/created/pause", "", 409, "container ID is not running"},
	{"POST /containers/running/unpause", "", 500, "Container ID is not paused"},
	{"DELETE /containers/running", "", 409, `cannot remove container "/running": container is running: stop the container before removing or force remove`},
	{"POST /containers/running/rename?name=created", "", 409, "error when allocating new name: Conflict. The container name \"/created\" is already in use by container \"ID\". You have to remove (or rename) that container to be able to reuse that name."},
	{"POST /containers/running/rename", "", 400, "Neither old nor new names may be empty"},
	{"POST /containers/running/rename?name=running", "", 400, "Renaming a container with the same name as its current name"},
	{"POST /containers/running/wait?condition=never", "", 400, `invalid condition: "never"`},
	{"POST /containers/running/update", `{"Memory":1}`, 400, "…"},
	{"POST /containers/running/update", `{"RestartPolicy":{"Name":"x"}}`, 400, "invalid restart policy: unknown policy 'x'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"},
	// Execution, terminals, processes.
	{"POST /containers/created/exec", `{"Cmd":["x"]}`, 409, "container ID is not running"},
	{"POST /containers/running/exec", `{"Cmd":[]}`, 400, "…"},
	{"POST /containers/running/exec", "", 400, "…"},
	{"POST /exec/nope/start", "{}", 404, "No such exec instance: nope"},
	{"GET /exec/nope/json", "", 404, "No such exec instance: nope"},
	{"POST /exec/nope/resize?h=1&w=1", "", 404, "No such exec instance: nope"},
	{"POST /containers/created/resize?h=1&w=1", "", 409, "container ID is not running"},
	{"POST /containers/running/resize?h=x&w=1", "", 400, "…"},
	{"GET /containers/created/top", "", 409, "container ID is not running"},
	{"POST /containers/running/attach?detachKeys=ctrl-%25", "", 400, "…"},
	// Logs, lists, events.
	{"GET /containers/running/logs", "", 400, "Bad parameters: you must choose at least one stream"},
	{"GET /containers/running/logs?stdout=1&since=x", "", 400, "…"},
	{"GET /containers/json?filters=x", "", 400, "…"},
	{"GET /containers/json?filters=%7B%22nope%22:%5B%22x%22%5D%7D", "", 400, "invalid filter 'nope'"},
	{"GET /containers/json?filters=%7B%22status%22:%5B%22x%22%5D%7D", "", 400, "invalid value for state (x): must be one of created, running, paused, restarting, removing, exited, dead"},
	{"GET /containers/json?limit=x", "", 400, "…"},
	{"GET /events?since=x", "", 400, "…"},
	{"GET /events?since=20&until=10", "", 400, "`since` time (20) cannot be after `until` time (10)"},
	{"POST /containers/prune?filters=%7B%22nope%22:%5B%22x%22%5D%7D", "", 400, "invalid filter 'nope'"},
	{"GET /system/df?type=x", "", 400, "unknown object type: x"},
	// Copies.
	{"GET /containers/running/archive", "", 400, "bad parameter: 'path' cannot be empty"},
	{"PUT /containers/running/archive", "", 400, "bad parameter: 'path' cannot be empty"},
	// Networks.
	{"GET /networks/nope", "", 404, "network nope not found"},
	{"DELETE /networks/nope", "", 404, "network nope not found"},
	{"DELETE /networks/bridge", "", 403, "bridge is a pre-defined network and cannot be removed"},
	{"POST /networks/create", `{"Name":"net"}`, 409, "network with name net already exists"},
	{"POST /networks/create", `{"Name":""}`, 400, "…"},
	{"POST /networks/create", `{"Name":"bridge"}`, 403, "operation is not permitted on predefined bridge network"},
	{"POST /networks/net/connect", `{"Container":"nope"}`, 404, "No such container: nope"},
	{"POST /networks/net/disconnect", `{"Container":"nope"}`, 404, "No such container: nope"},
	{"POST /networks/net/disconnect", `{"Container":"running"}`, 403, "container ID is not connected to network net"},
	// Volumes.
	{"GET /volumes/nope", "", 404, "get nope: no such volume"},
	{"DELETE /volumes/nope", "", 404, "get nope: no such volume"},
	{"DELETE /volumes/used", "", 409, "…"},
	{"POST /volumes/create", `{"Name":"a b"}`, 400, "…"},
	{"POST /volumes/create", `{"Name":"v","DriverOpts":{"nope":"x"}}`, 400, "…"},
	// What Brig does not have is said by 501, also where dockerd says that a plugin (404) or a manager (503) is missing.
	{"POST /networks/create", `{"Name":"x","Driver":"nope"}`, 501, "…"},
	{"POST /volumes/create", `{"Name":"v","Driver":"nope"}`, 501, "…"},
	{"POST /build", "", 501, "…"},
	{"GET /services", "", 501, "…"},
	{"GET /plugins", "", 501, "…"},
}

var anyID = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

func TestWhatGoesWrongIsAnsweredAsDockerDoes(t *testing.T) {
	d := startDaemon(t, newFakeWarden(t), t.TempDir())
	for _, r := range [][2]string{
		{"/containers/create?name=running", `{"Image":"test","Cmd":["sh","-c","sleep 60"],"HostConfig":{"Binds":["used:/data"]}}`},
		{"/containers/create?name=created", `{"Image":"test"}`}, {"/containers/running/start", ""}, {"/networks/create", `{"Name":"net"}`},
	} {
		if code, body := call(t, d.socket, "POST", r[0], r[1]); code >= 300 {
			t.Fatal(r, code, body)
		}
	}
	for _, w := range wrong {
		method, path, _ := strings.Cut(w.request, " ")
		code, body := call(t, d.socket, method, path, w.body)
		var got map[string]string
		if code == http.StatusNotModified {
			got = map[string]string{"message": body}
		} else if err := json.Unmarshal([]byte(body), &got); err != nil || len(got) != 1 || got["message"] == "" {
			t.Errorf("%s %s: no object with one message: %s", w.request, w.body, body)
		}
		message := anyID.ReplaceAllString(got["message"], "ID")
		begin, more := strings.CutSuffix(w.message, "…")
		if code != w.status || message != w.message && !(more && strings.HasPrefix(message, begin)) {
			t.Errorf("%s %s: %d %q, want %d %q", w.request, w.body, code, message, w.status, w.message)
		}
	}
}

// A page in a browser may post forms and texts to every address that it can reach, but no JSON without asking.
func TestBodiesAreJSONByTheirHeader(t *testing.T) {
	socket, _ := openDoor(t, Bounds{All: 50, One: 50})
	for kind, want := range map[string]string{
		"application/json": "", "application/json; charset=utf-8": "",
		"text/plain": "unsupported Content-Type header (text/plain): must be 'application/json'", "": "unsupported Content-Type header ()",
		"application/x-www-form-urlencoded": "unsupported Content-Type", "application/jsonx": "unsupported Content-Type",
	} {
		for _, path := range []string{"/containers/create", "/networks/create", "/exec/x/start", "/volumes/create"} {
			req, err := http.NewRequest("POST", "http://engine"+path, strings.NewReader("{]"))
			if err != nil {
				t.Fatal(err)
			}
			req.Close = true
			if kind != "" {
				req.Header.Set("Content-Type", kind)
			}
			c := dial(t, socket, "")
			if err := req.Write(c); err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(io.LimitReader(c, 500))
			if !strings.HasPrefix(string(b), "HTTP/1.1 400") || strings.Contains(string(b), "unsupported") != (want != "") ||
				!strings.Contains(string(b), want) {
				t.Errorf("%s as %q: %s", path, kind, b)
			}
			c.Close()
		}
	}
}
