package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
)

func TestEventsAreKeptAndFiltered(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	since := time.Now().Add(-time.Second).Unix()
	id := create(t, s, "exit 3", `,"Labels":{"k":"v"}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	must(t, s, 200, "POST", "/containers/"+id+"/wait", "")
	must(t, s, 204, "DELETE", "/containers/"+id, "")
	path := "/events?since=" + time.Unix(since, 0).UTC().Format(time.RFC3339) + "&until=" +
		time.Now().Add(time.Second).UTC().Format(time.RFC3339) +
		"&filters=" + url.QueryEscape(`{"type":["container"],"label":["k=v"]}`)
	var got []string
	for line := range strings.Lines(must(t, s, 200, "GET", "/v1.50"+path, "")) {
		var e struct {
			Status string
			Action string
			Actor  struct{ Attributes map[string]string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Status != e.Action {
			t.Errorf("status %q of %q", e.Status, e.Action)
		}
		got = append(got, e.Action+e.Actor.Attributes["exitCode"])
	}
	if strings.Join(got, " ") != "create start die3 destroy" {
		t.Errorf("events: %v", got)
	}
	if strings.Contains(must(t, s, 200, "GET", "/v1.56"+path, ""), `"status"`) {
		t.Error("version 1.52 and later have no field status")
	}
}

// eventLines writes events as docker does, with names for ids.
func eventLines(t *testing.T, body string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(body) {
		var m events.Message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %s", m.Type, m.Action, m.Actor.ID)
		for _, k := range slices.Sorted(maps.Keys(m.Actor.Attributes)) {
			fmt.Fprintf(&b, " %s=%s", k, m.Actor.Attributes[k])
		}
		b.WriteByte('\n')
	}
	ids := map[string]string{}
	return regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllStringFunc(b.String(), func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("ID%d", len(ids)+1)
		}
		return ids[id]
	})
}

// TestALifeIsToldInDockersOrder: the golden file is what a listener of a whole life sees.
func TestALifeIsToldInDockersOrder(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "trap 'exit 5' TERM; while :; do sleep 0.02; done", `,"Labels":{"k":"v"},
		"HostConfig":{"Binds":["data:/data:ro"]}`)
	attach(t, s, "/v1.50/containers/"+id+"/attach?stream=1&stdout=1", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	made := must(t, s, 201, "POST", "/containers/"+id+"/exec", `{"Cmd":["sh","-c","exit 7"]}`)
	exec := regexp.MustCompile(`[0-9a-f]{64}`).FindString(made)
	must(t, s, 200, "POST", "/exec/"+exec+"/start", `{"Detach":true}`)
	eventually(t, "the end of exec", func() bool {
		return strings.Contains(must(t, s, 200, "GET", "/exec/"+exec+"/json", ""), `"ExitCode":7`)
	})
	time.Sleep(100 * time.Millisecond) // its event, and sh's trap
	must(t, s, 204, "POST", "/containers/"+id+"/rename?name=renamed", "")
	must(t, s, 400, "POST", "/containers/"+id+"/rename?name=renamed", "")
	must(t, s, 204, "POST", "/containers/"+id+"/kill?signal=WINCH", "")
	must(t, s, 204, "POST", "/containers/"+id+"/restart?t=9", "")
	must(t, s, 204, "POST", "/containers/"+id+"/kill", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	must(t, s, 204, "DELETE", "/containers/"+id+"?force=1", "")
	must(t, s, 200, "POST", "/containers/prune", "")
	must(t, s, 200, "POST", "/volumes/prune?filters="+url.QueryEscape(`{"all":["1"]}`), "")
	must(t, s, 200, "POST", "/networks/prune", "")
	rm := create(t, s, "exit 3", `,"HostConfig":{"AutoRemove":true,"NetworkMode":"none"},"Volumes":{"/anon":{}}`)
	must(t, s, 204, "POST", "/containers/"+rm+"/start", "")
	call(t, s, "POST", "/containers/"+rm+"/wait?condition=removed", "")
	body := must(t, s, 200, "GET", "/v1.50/events?since=0&until="+time.Now().UTC().Format(time.RFC3339Nano), "")
	lines := regexp.MustCompile(`ame=/?[a-z]+_[a-z]+`).ReplaceAllString(eventLines(t, body), "ame=MADE_UP")
	golden(t, "events.txt", []byte(regexp.MustCompile(`execDuration=\d+`).ReplaceAllString(lines, "execDuration=N")))
}

func TestEventFilters(t *testing.T) {
	of := func(kind events.Type, action events.Action, id string, pairs ...string) *events.Message {
		m := &events.Message{Type: kind, Action: action, Scope: "local", Actor: events.Actor{ID: id, Attributes: map[string]string{}}}
		for i := 0; i < len(pairs); i += 2 {
			m.Actor.Attributes[pairs[i]] = pairs[i+1]
		}
		return m
	}
	web := of("container", "exec_create: sh -c true", "abcdef", "name", "web-1", "image", "host.test/team/app:1", "tier", "front")
	for _, c := range []struct {
		m      *events.Message
		filter filters
		passes bool
	}{
		{web, filters{}, true},
		{web, filters{"type": {"container"}}, true}, {web, filters{"type": {"image", "container"}}, true},
		{web, filters{"type": {"image"}}, false}, {web, filters{"scope": {"local"}}, true}, {web, filters{"scope": {"swarm"}}, false},
		{web, filters{"event": {"exec_create"}}, true}, {web, filters{"event": {"exec_create: sh -c true"}}, true},
		{web, filters{"event": {"exec"}}, false}, {web, filters{"event": {"start", "exec_create"}}, true},
		{web, filters{"container": {"web-1"}}, true}, {web, filters{"container": {"web"}}, true}, {web, filters{"container": {"abc"}}, true},
		{web, filters{"container": {"eb"}}, false}, {web, filters{"container": {"x", "web"}}, true},
		{web, filters{"image": {"host.test/team/app:1"}}, true}, {web, filters{"image": {"host.test/team/app"}}, true},
		{web, filters{"image": {"app"}}, false},
		{web, filters{"label": {"tier"}}, true}, {web, filters{"label": {"tier=front", "name=web-1"}}, true},
		{web, filters{"label": {"tier=back"}}, false}, {web, filters{"label": {"tier", "none"}}, false},
		{web, filters{"volume": {"web-1"}}, false}, {web, filters{"daemon": {"web-1"}}, false},
		{of("image", "pull", "app:1", "name", "app"), filters{"image": {"app"}}, true},
		{of("image", "untag", "sha256:ab", "name", "sha256:ab"), filters{"image": {"sha256:ab"}}, true},
		{of("volume", "mount", "data", "container", "abc"), filters{"volume": {"data"}}, true},
		{of("volume", "mount", "data", "container", "abc"), filters{"container": {"abc"}}, false},
		{of("volume", "mount", "data"), filters{"image": {"data"}}, false},
		{of("network", "connect", "fe01", "name", "bridge", "type", "bridge"), filters{"network": {"bridge"}}, true},
		{of("network", "connect", "fe01", "name", "bridge", "type", "bridge"), filters{"network": {"fe"}}, true},
	} {
		if got := matchEvent(c.filter, c.m); got != c.passes {
			t.Errorf("%v for %s %s: %v", c.filter, c.m.Type, c.m.Action, got)
		}
	}
}

func TestEventsAreStreamedUntilTheirTime(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	before := create(t, s, "true", "")
	streams := map[string]chan string{}
	// Without since there is no past; with until there is, as in Docker.
	for _, query := range []string{"", "?since=10m", "?until=-2s"} {
		lines := make(chan string, 100)
		streams[query] = lines
		conn := request(t, s, "GET", "/v1.50/events"+query)
		go func() {
			defer close(lines)
			for in := bufio.NewScanner(conn); in.Scan(); {
				lines <- in.Text()
			}
		}()
	}
	time.Sleep(100 * time.Millisecond)
	after := create(t, s, "true", "")
	for query, want := range map[string][]string{"": {after}, "?since=10m": {before, after}, "?until=-2s": {before, after}} {
		for _, id := range want {
			if line := <-streams[query]; !strings.Contains(line, id) || !strings.Contains(line, `"create"`) {
				t.Errorf("events%s: %s, want %s", query, line, id)
			}
		}
	}
	for range streams["?until=-2s"] {
		t.Error("more events than there were")
	}
	for _, bad := range []string{"since=x", "until=yesterday", "since=20&until=10", "filters=" + url.QueryEscape(`{"x":["y"]}`)} {
		must(t, s, 400, "GET", "/events?"+bad, "")
	}
}
