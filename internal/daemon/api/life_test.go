package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// seen is a container as inspect shows it.
func seen(t testing.TB, socket, id string) (v apicontainer.InspectResponse) {
	t.Helper()
	if err := json.Unmarshal([]byte(must(t, socket, 200, "GET", "/v1.50/containers/"+id+"/json", "")), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// happened are the actions of all events of one container.
func happened(t testing.TB, socket, id string) (actions []string) {
	t.Helper()
	until := fmt.Sprintf("%d", time.Now().Unix()+1)
	body := must(t, socket, 200, "GET", "/v1.50/events?since=1&until="+until+
		"&filters="+url.QueryEscape(`{"container":["`+id+`"]}`), "")
	for line := range strings.Lines(body) {
		var m struct{ Action string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, m.Action)
	}
	return actions
}

func TestPoliciesStartContainersAgain(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "exit 3", `,"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	eventually(t, "the third end", func() bool { return seen(t, s, id).State.Status == "exited" })
	if v := seen(t, s, id); v.RestartCount != 2 || v.State.ExitCode != 3 || v.State.Restarting || f.count(wire.OpContainerStart) != 3 {
		t.Errorf("%d restarts, %+v", v.RestartCount, v.State)
	}
	if got := strings.Join(happened(t, s, id), " "); got != "create start die start die start die" {
		t.Errorf("events: %s", got)
	}
	// A start by hand counts anew.
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	eventually(t, "the sixth end", func() bool { return f.count(wire.OpContainerStart) == 6 })
	eventually(t, "the end", func() bool { return seen(t, s, id).State.Status == "exited" })
	well := create(t, s, "exit 0", `,"HostConfig":{"RestartPolicy":{"Name":"on-failure"}}`)
	must(t, s, 204, "POST", "/containers/"+well+"/start", "")
	eventually(t, "success", func() bool { return seen(t, s, well).State.Status == "exited" })
	time.Sleep(300 * time.Millisecond)
	if v := seen(t, s, well); v.RestartCount != 0 || v.State.Status != "exited" {
		t.Errorf("after success: %+v", v.State)
	}
}

// waiting makes a container that has ended so often that it waits seconds for its next start.
func waiting(t *testing.T, s, policy string) string {
	t.Helper()
	id := create(t, s, "exit 7", `,"HostConfig":{"RestartPolicy":{"Name":"`+policy+`"}}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	eventually(t, "a long delay", func() bool {
		v := seen(t, s, id)
		return v.RestartCount >= 5 && v.State.Restarting
	})
	return id
}

func TestAContainerThatWaitsForItsRestart(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := waiting(t, s, "always")
	must(t, s, 204, "POST", "/containers/"+id+"/rename?name=waits", "")
	goldenFile(t, "inspect-restarting.json", must(t, s, 200, "GET", "/v1.50/containers/"+id+"/json", ""))
	goldenFile(t, "ps-restarting.json", must(t, s, 200, "GET", "/v1.50/containers/json", ""))
	if got := must(t, s, 200, "GET", `/v1.50/containers/json?filters={"status":["restarting"]}`, ""); !strings.Contains(got, id) {
		t.Errorf("by status: %s", got)
	}
	must(t, s, 304, "POST", "/containers/"+id+"/start", "")
	if got := must(t, s, 409, "POST", "/containers/"+id+"/exec", `{"Cmd":["true"]}`); !strings.Contains(got, "is restarting") {
		t.Error(got)
	}
	if got := must(t, s, 409, "DELETE", "/containers/"+id, ""); !strings.Contains(got,
		"container is restarting: stop the container before removing or force remove") {
		t.Error(got)
	}
	if got := must(t, s, 200, "POST", "/containers/prune", ""); strings.Contains(got, id) {
		t.Error("pruned")
	}
	wait := make(chan string)
	go func() { _, b := call(t, s, "POST", "/containers/"+id+"/wait", ""); wait <- b }()
	time.Sleep(50 * time.Millisecond)
	starts := f.count(wire.OpContainerStart)
	must(t, s, 204, "POST", "/containers/"+id+"/stop", "")
	if got := <-wait; !strings.Contains(got, `"StatusCode":7`) {
		t.Errorf("wait: %s", got)
	}
	if v := seen(t, s, id); v.State.Status != "exited" || v.State.ExitCode != 7 || v.State.Running {
		t.Errorf("stopped: %+v", v.State)
	}
	for _, end := range []struct{ method, path string }{{"POST", "/kill"}, {"DELETE", "?force=1"}} {
		id := waiting(t, s, "unless-stopped")
		starts = f.count(wire.OpContainerStart)
		must(t, s, 204, end.method, "/containers/"+id+end.path, "")
	}
	time.Sleep(4 * time.Second) // longer than the delay was
	if n := f.count(wire.OpContainerStart); n != starts {
		t.Errorf("%d starts after the end", n-starts)
	}
}

func TestStopIsTheEndAndRestartIsNot(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	for _, policy := range []string{"always", "unless-stopped", "on-failure"} {
		id := create(t, s, "exec sleep 100", `,"HostConfig":{"RestartPolicy":{"Name":"`+policy+`"}}`)
		must(t, s, 204, "POST", "/containers/"+id+"/start", "")
		must(t, s, 204, "POST", "/containers/"+id+"/restart?t=0", "")
		if v := seen(t, s, id); v.State.Status != "running" || v.RestartCount != 0 {
			t.Errorf("%s: restarted: %+v", policy, v.State)
		}
		for _, end := range []string{"/stop?t=0", "/kill"} {
			must(t, s, 204, "POST", "/containers/"+id+end, "")
			eventually(t, "the end", func() bool { return seen(t, s, id).State.Status == "exited" })
			time.Sleep(150 * time.Millisecond)
			if v := seen(t, s, id); v.State.Status != "exited" {
				t.Errorf("%s after %s: %+v", policy, end, v.State)
			}
			must(t, s, 204, "POST", "/containers/"+id+"/start", "")
		}
		must(t, s, 204, "DELETE", "/containers/"+id+"?force=1", "")
	}
}

func TestAnUpdateOfThePolicy(t *testing.T) {
	f := newFakeWarden(t)
	dir := t.TempDir()
	s := startDaemon(t, f, dir).socket
	id := create(t, s, "exec sleep 100", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	got := must(t, s, 200, "POST", "/containers/"+id+"/update", `{"Memory":0,"RestartPolicy":{"Name":"unless-stopped"}}`)
	if got != `{"Warnings":[]}`+"\n" {
		t.Error(got)
	}
	record, err := os.ReadFile(filepath.Join(dir, "state", "containers", id, "record.json"))
	if err != nil || !strings.Contains(string(record), `"unless-stopped"`) {
		t.Errorf("it is not on disk: %v", err)
	}
	must(t, s, 400, "POST", "/containers/"+id+"/update", `{"RestartPolicy":{"Name":"x"}}`)
	must(t, s, 400, "POST", "/containers/"+id+"/update", `{"Memory":1}`)
	must(t, s, 404, "POST", "/containers/nobody/update", `{}`)
	if got := seen(t, s, id).HostConfig.RestartPolicy.Name; got != "unless-stopped" {
		t.Errorf("policy %q", got)
	}
	removed := create(t, s, "exec sleep 100", `,"HostConfig":{"AutoRemove":true}`)
	must(t, s, 409, "POST", "/containers/"+removed+"/update", `{"RestartPolicy":{"Name":"always"}}`)
	f.kill(id)
	eventually(t, "the restart", func() bool { return f.count(wire.OpContainerStart) == 2 })
	if got := strings.Join(happened(t, s, id), " "); !strings.HasPrefix(got, "create start update die") {
		t.Errorf("events: %s", got)
	}
}

// kill ends a container behind the daemon's back.
func (f *fakeWarden) kill(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.procs[id]; p != nil {
		_ = p.process.Kill()
	}
}
