package api

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// checked makes a container that is healthy while the file is there.
func checked(t *testing.T, socket, more string) (id, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ok")
	id = create(t, socket, "exec sleep 100", fmt.Sprintf(`,"Healthcheck":{"Test":["CMD-SHELL","echo looked; test -f %s"],
		"Interval":150000000,"Retries":2}%s`, file, more))
	return id, file
}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func healthNow(t testing.TB, socket, id string) apicontainer.HealthStatus {
	t.Helper()
	h := seen(t, socket, id).State.Health
	if h == nil {
		return "nil"
	}
	return h.Status
}

func TestHealthOfAContainer(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id, file := checked(t, s, "")
	if got := healthNow(t, s, id); got != "nil" {
		t.Errorf("before the start: %s", got)
	}
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	listed := func(want apicontainer.HealthStatus, words string) {
		t.Helper()
		if got := must(t, s, 200, "GET", "/v1.52/containers/json", ""); !strings.Contains(got, words) {
			t.Errorf("%q is not in %s", words, got)
		}
		for _, h := range []apicontainer.HealthStatus{"none", "starting", "healthy", "unhealthy"} {
			got := must(t, s, 200, "GET", fmt.Sprintf(`/v1.50/containers/json?filters={"health":["%s"]}`, h), "")
			if (h == want) != strings.Contains(got, id) {
				t.Errorf("%s, asked for health=%s: %s", want, h, got)
			}
		}
	}
	listed("starting", "(health: starting)")
	touch(t, file)
	eventually(t, "health", func() bool { return healthNow(t, s, id) == "healthy" })
	listed("healthy", "(healthy)")
	eventually(t, "five probes", func() bool { return len(seen(t, s, id).State.Health.Log) == 5 })
	v := seen(t, s, id)
	if r := v.State.Health.Log[4]; r.ExitCode != 0 || r.Output != "looked\n" || !r.End.After(r.Start) || len(v.ExecIDs) > 1 {
		t.Errorf("a probe: %+v, execs %v", r, v.ExecIDs)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sickness", func() bool { return healthNow(t, s, id) == "unhealthy" })
	listed("unhealthy", `"Health":{"Status":"unhealthy","FailingStreak":`)
	touch(t, file)
	eventually(t, "recovery", func() bool { return healthNow(t, s, id) == "healthy" })
	must(t, s, 204, "POST", "/containers/"+id+"/stop?t=0", "")
	if h := seen(t, s, id).State.Health; h == nil || h.Status != "unhealthy" || len(h.Log) != 5 {
		t.Errorf("after the end: %+v", h)
	}
	probes := f.count(wire.OpExecStart)
	time.Sleep(400 * time.Millisecond)
	if n := f.count(wire.OpExecStart); n != probes {
		t.Errorf("%d probes after the end", n-probes)
	}
	got := happened(t, s, id)
	want := []string{"create", "start", "exec_create: /bin/sh -c echo looked; test -f " + file,
		"exec_start: /bin/sh -c echo looked; test -f " + file, "exec_die"}
	if !slices.Equal(got[:5], want) {
		t.Errorf("events: %q", got[:5])
	}
	var health []string
	for _, a := range got {
		if h, ok := strings.CutPrefix(a, "health_status: "); ok {
			health = append(health, h)
		}
	}
	if s := strings.Join(health, " "); s != "healthy unhealthy healthy" {
		t.Errorf("changes of health: %s", s)
	}
	must(t, s, 400, "GET", `/v1.50/containers/json?filters={"health":["fine"]}`, "")
}

func TestHealthAsItIsShown(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "exec sleep 100", `,"Healthcheck":{"Test":["CMD","sh","-c","head -c 5000 /dev/zero | tr '\\0' x; exit 1"],
		"Interval":1000000000,"Retries":1}`)
	must(t, s, 204, "POST", "/containers/"+id+"/rename?name=sick", "")
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	eventually(t, "sickness", func() bool { return healthNow(t, s, id) == "unhealthy" })
	body := must(t, s, 200, "GET", "/v1.50/containers/"+id+"/json", "")
	long := strings.Repeat("x", 4096) + "..."
	if !strings.Contains(body, long+`"`) {
		t.Error("the output is not cut where Docker cuts it")
	}
	goldenFile(t, "inspect-unhealthy.json", strings.ReplaceAll(body, long, "4096 TIMES x..."))
}

func TestUnhealthyContainersAreRestartedWhereThatIsAskedFor(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id, file := checked(t, s, `,"Labels":{"dev.brig.restart-unhealthy":"true"}`)
	touch(t, file)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	eventually(t, "health", func() bool { return healthNow(t, s, id) == "healthy" })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a restart", func() bool { return f.count(wire.OpContainerStart) > 1 })
	touch(t, file)
	eventually(t, "health", func() bool { return healthNow(t, s, id) == "healthy" })
	if v := seen(t, s, id); v.RestartCount < 1 || v.State.Status != "running" {
		t.Errorf("%d restarts, %+v", v.RestartCount, v.State)
	}
	got := strings.Join(slices.DeleteFunc(happened(t, s, id), func(a string) bool { return strings.HasPrefix(a, "exec_") }), " ")
	if !strings.HasPrefix(got, "create start health_status: healthy health_status: unhealthy kill die start") &&
		!strings.HasPrefix(got, "create start health_status: healthy health_status: unhealthy kill die stop start") {
		t.Errorf("events: %s", got)
	}
	must(t, s, 204, "POST", "/containers/"+id+"/stop?t=0", "")
	time.Sleep(300 * time.Millisecond)
	if v := seen(t, s, id); v.State.Status != "exited" {
		t.Errorf("stopped by hand: %+v", v.State)
	}
}

// TestAKillOfTheDaemon: neither restarts nor health checks mind.
func TestAKillOfTheDaemonLosesAndDoublesNoRestart(t *testing.T) {
	f := newFakeWarden(t)
	s := startSeparate(t, f)
	sick, file := checked(t, s.socket, "")
	touch(t, file)
	must(t, s.socket, 204, "POST", "/containers/"+sick+"/start", "")
	eventually(t, "health", func() bool { return healthNow(t, s.socket, sick) == "healthy" })
	counted := filepath.Join(t.TempDir(), "runs")
	id := create(t, s.socket, "echo >>"+counted+"; exit 1", `,"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":6}}`)
	must(t, s.socket, 204, "POST", "/containers/"+id+"/start", "")
	stopped := create(t, s.socket, "exec sleep 100", `,"HostConfig":{"RestartPolicy":{"Name":"always"}}`)
	must(t, s.socket, 204, "POST", "/containers/"+stopped+"/start", "")
	must(t, s.socket, 204, "POST", "/containers/"+stopped+"/stop?t=0", "")
	begun := time.Now()
	for range 12 { // the delays add up to 6.3 s
		time.Sleep(350 * time.Millisecond)
		s.kill()
		s.start()
		if got := healthNow(t, s.socket, sick); got != "healthy" {
			t.Errorf("a new daemon: %s", got)
		}
	}
	eventually(t, "the last end", func() bool { return seen(t, s.socket, id).State.Status == "exited" })
	b, err := os.ReadFile(counted)
	if n := len(b); err != nil || n != 7 {
		t.Errorf("%d runs, want 7: %v", n, err)
	}
	if v := seen(t, s.socket, id); v.RestartCount != 6 || v.State.ExitCode != 1 {
		t.Errorf("%d restarts, %+v", v.RestartCount, v.State)
	}
	if d := time.Since(begun); d < 6*time.Second {
		t.Errorf("the delays were cut short: %v", d)
	}
	if got := seen(t, s.socket, stopped).State.Status; got != "exited" {
		t.Errorf("stopped by hand, and then %s", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sickness", func() bool { return healthNow(t, s.socket, sick) == "unhealthy" })
	f.killAll()
}

// The warden has noted the end of a run, and brigd is killed before it could: the run counts all the same.
func TestAKillBetweenTheTwoNotesOfAnEndDoublesNoRestart(t *testing.T) {
	f := newFakeWarden(t)
	s := startSeparate(t, f)
	counted := filepath.Join(t.TempDir(), "runs")
	id := create(t, s.socket, "echo >>"+counted+"; exit 1", `,"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}`)
	noted, goOn := make(chan bool), make(chan bool)
	f.mu.Lock()
	f.noted = func(string) { noted <- true; <-goOn }
	f.mu.Unlock()
	must(t, s.socket, 204, "POST", "/containers/"+id+"/start", "")
	for range 3 {
		<-noted
		s.kill()
		goOn <- true
		s.start() // what it asks again is told at once
	}
	eventually(t, "the last end", func() bool { return seen(t, s.socket, id).State.Status == "exited" })
	if b, err := os.ReadFile(counted); err != nil || len(b) != 3 {
		t.Errorf("%d runs, want 3: %v", len(b), err)
	}
	if v := seen(t, s.socket, id); v.RestartCount != 2 || v.State.ExitCode != 1 {
		t.Errorf("%d restarts, %+v", v.RestartCount, v.State)
	}
}
