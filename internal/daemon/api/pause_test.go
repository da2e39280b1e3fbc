package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// inspected gives the state of a container, and its bounds.
func inspected(t testing.TB, socket, id string) apicontainer.InspectResponse {
	t.Helper()
	var i apicontainer.InspectResponse
	if err := json.Unmarshal([]byte(must(t, socket, 200, "GET", "/v1.50/containers/"+id+"/json", "")), &i); err != nil {
		t.Fatal(err)
	}
	return i
}

// refusedWith sends a request that is answered with a status and words.
func refusedWith(t testing.TB, socket string, status int, words, method, path, body string) {
	t.Helper()
	if got := must(t, socket, status, method, path, body); !strings.Contains(got, words) {
		t.Errorf("%s %s: %s; want %q", method, path, got, words)
	}
}

func TestPausedContainersAreRefusedInDockersWords(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "while :; do echo x; sleep 0.01; done", "")
	at := "/v1.50/containers/" + id
	refusedWith(t, s, 409, "container "+id+" is not running", "POST", at+"/pause", "")
	refusedWith(t, s, 500, "Container "+id+" is not paused", "POST", at+"/unpause", "")
	refusedWith(t, s, 404, "No such container: none", "POST", "/containers/none/pause", "")
	must(t, s, 204, "POST", at+"/start", "")
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(must(t, s, 201, "POST", at+"/exec", `{"Cmd":["true"]}`)), &made); err != nil {
		t.Fatal(err)
	}
	must(t, s, 204, "POST", at+"/pause", "")
	refusedWith(t, s, 409, "container "+id+" is already paused", "POST", at+"/pause", "")
	refusedWith(t, s, 409, "cannot start a paused container, try unpause instead", "POST", at+"/start", "")
	refusedWith(t, s, 409, "Container "+id+" is paused, unpause the container before exec", "POST", at+"/exec", `{"Cmd":["true"]}`)
	refusedWith(t, s, 409, "is paused, unpause the container before exec", "POST", "/exec/"+made.ID+"/start", `{"Detach":true}`)
	refusedWith(t, s, 409, "container "+id[:12]+" is paused, unpause the container before attach", "POST", "/containers/"+id[:12]+"/attach?stream=1&stdout=1", "")
	refusedWith(t, s, 409, "container is paused and must be unpaused first", "DELETE", at, "")
	if st := inspected(t, s, id).State; st.Status != "paused" || !st.Paused || !st.Running {
		t.Errorf("state %+v", st)
	}
	for filter, want := range map[string]bool{`{"status":["paused"]}`: true, `{"status":["running"]}`: false, `{}`: true} {
		got := must(t, s, 200, "GET", "/v1.50/containers/json?filters="+strings.ReplaceAll(filter, `"`, "%22"), "")
		if strings.Contains(got, id) != want || want && !(strings.Contains(got, ` (Paused)"`) && strings.Contains(got, `"State":"paused"`)) {
			t.Errorf("%s: %s", filter, got)
		}
	}
	if got := must(t, s, 200, "GET", "/info", ""); !strings.Contains(got, `"ContainersPaused":1`) || !strings.Contains(got, `"ContainersRunning":0`) {
		t.Errorf("info: %s", got)
	}
	time.Sleep(20 * time.Millisecond)
	before := logText(t, s, id, "")
	time.Sleep(50 * time.Millisecond)
	if after := logText(t, s, id, ""); after != before {
		t.Errorf("it wrote %q while it was paused", strings.TrimPrefix(after, before))
	}
	must(t, s, 204, "POST", at+"/unpause", "")
	eventually(t, "it goes on", func() bool { return len(logText(t, s, id, "")) > len(before) })
	must(t, s, 200, "POST", "/exec/"+made.ID+"/start", `{"Detach":true}`)
	must(t, s, 204, "POST", at+"/pause", "")
	must(t, s, 204, "DELETE", at+"?force=1", "")
	if got := eventActions(t, s); !strings.Contains(got, "start,exec_create: true,pause,unpause,exec_start: true") || !strings.HasSuffix(got, "pause,kill,disconnect,die,destroy,") {
		t.Errorf("events %s", got)
	}
}

// eventActions are the actions of all events so far, without the ends of executions, which come when they like.
func eventActions(t testing.TB, socket string) string {
	t.Helper()
	var b strings.Builder
	d := json.NewDecoder(strings.NewReader(must(t, socket, 200, "GET",
		fmt.Sprintf("/v1.50/events?since=1&until=%d", time.Now().Unix()+1), "")))
	for d.More() {
		var m struct{ Action string }
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		if m.Action != "exec_die" {
			b.WriteString(m.Action + ",")
		}
	}
	return b.String()
}

// TestSignalsToAPausedContainer: it goes on for the signal by which it is stopped, or for any if it names none.
func TestSignalsToAPausedContainer(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	const script = "trap 'echo usr1' USR1; trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
	for name, c := range map[string]struct {
		more, verb string
		paused     bool // afterwards
		exit       int  // -1: it runs
	}{
		"any signal":              {"", "kill?signal=USR1", false, -1},
		"not the own one":         {`,"StopSignal":"TERM"`, "kill?signal=USR1", true, -1},
		"the own one":             {`,"StopSignal":"TERM"`, "kill?signal=TERM", false, 3},
		"kill":                    {`,"StopSignal":"TERM"`, "kill", false, 137},
		"stop":                    {"", "stop?t=5", false, 3},
		"stop with something odd": {`,"StopSignal":"TERM"`, "stop?signal=USR1&t=0", false, 137},
		"restart":                 {"", "restart?t=5", false, -1},
	} {
		t.Run(name, func(t *testing.T) {
			id := create(t, s, script, c.more)
			at := "/v1.50/containers/" + id
			must(t, s, 204, "POST", at+"/start", "")
			eventually(t, "it is ready", func() bool { return strings.Contains(logText(t, s, id, ""), "ready") })
			must(t, s, 204, "POST", at+"/pause", "")
			must(t, s, 204, "POST", at+"/"+c.verb, "")
			if c.exit >= 0 {
				want := fmt.Sprintf(`"StatusCode":%d`, c.exit)
				if got := must(t, s, 200, "POST", at+"/wait", ""); !strings.Contains(got, want) {
					t.Errorf("it ended with %s", got)
				}
			}
			if st := inspected(t, s, id).State; st.Paused != c.paused || st.Running != (c.exit < 0) {
				t.Errorf("state %+v", st)
			}
			must(t, s, 204, "DELETE", at+"?force=1", "")
		})
	}
}

// TestAKilledBrigdFindsPausedContainersPaused, and its successor can let them go on.
func TestAKilledBrigdFindsPausedContainersPaused(t *testing.T) {
	f := newFakeWarden(t)
	d := startSeparate(t, f)
	id := create(t, d.socket, "echo one; sleep 0.2; echo two; exit 4", "")
	at := "/v1.50/containers/" + id
	must(t, d.socket, 204, "POST", at+"/start", "")
	must(t, d.socket, 204, "POST", at+"/pause", "")
	f.mu.Lock()
	f.use.frozen[id] = false // as if the order had not been given before brigd was killed
	f.mu.Unlock()
	d.kill()
	d.start()
	if st := inspected(t, d.socket, id).State; !st.Paused || st.Status != "paused" {
		t.Errorf("state %+v", st)
	}
	f.mu.Lock()
	frozen := f.use.frozen[id]
	f.mu.Unlock()
	if !frozen {
		t.Error("the new brigd has not paused it again")
	}
	waited := make(chan string)
	go func() { _, got := call(t, d.socket, "POST", at+"/wait", ""); waited <- got }()
	must(t, d.socket, 204, "POST", at+"/unpause", "")
	if got := <-waited; !strings.Contains(got, `"StatusCode":4`) {
		t.Errorf("wait: %s", got)
	}
	if got := logText(t, d.socket, id, ""); got != "one\ntwo\n" {
		t.Errorf("log %q", got)
	}
}

func boundsTold(f *fakeWarden, id string) []wire.Resources {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.use.bounds[id]
}

func TestUpdateReachesKernelRecordAndNextStart(t *testing.T) {
	f := newFakeWarden(t)
	d := startSeparate(t, f)
	id := create(t, d.socket, "sleep 100", `,"HostConfig":{"Memory":67108864}`)
	at := "/v1.50/containers/" + id
	must(t, d.socket, 200, "POST", at+"/update", `{"CpuShares":512}`)
	if told := boundsTold(f, id); len(told) != 0 {
		t.Errorf("a container that does not run: %+v", told)
	}
	must(t, d.socket, 204, "POST", at+"/start", "")
	if got := must(t, d.socket, 200, "POST", at+"/update", `{"Memory":134217728,"NanoCpus":500000000,"PidsLimit":9}`); got != `{"Warnings":[]}`+"\n" {
		t.Errorf("reply %s", got)
	}
	want := wire.Resources{Memory: 128 << 20, CPUShares: 512, CPUQuota: 50_000, CPUPeriod: 100_000, Pids: 9,
		CPUWeight: 59, CPUMax: "50000 100000"}
	if told := boundsTold(f, id); len(told) != 1 || !reflect.DeepEqual(told[0], want) {
		t.Errorf("told %+v", told)
	}
	d.kill()
	d.start()
	if h := inspected(t, d.socket, id).HostConfig; h.Memory != 128<<20 || h.NanoCPUs != 500_000_000 || *h.PidsLimit != 9 || h.CPUShares != 512 {
		t.Errorf("shown %+v", h.Resources)
	}
	if told := boundsTold(f, id); len(told) != 1 {
		t.Errorf("an update that was taken is told again: %+v", told)
	}
	must(t, d.socket, 204, "POST", at+"/restart?t=0", "")
	f.mu.Lock()
	got := f.specs[id].Resources
	f.mu.Unlock()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("started with %+v", got)
	}
	refusedWith(t, d.socket, 409, "Cannot update container "+id+": Conflicting options", "POST", at+"/update", `{"CpuQuota":5000}`)
	refusedWith(t, d.socket, 403, "--pids-limit -1", "POST", at+"/update", `{"PidsLimit":-1}`)
	refusedWith(t, d.socket, 404, "No such container", "POST", "/containers/none/update", `{}`)
}

// TestRecordAndKernelAgreeWhateverHappens: a refusal takes the record back, and the kernel; a death in between is made
// good by the next brigd.
func TestRecordAndKernelAgreeWhateverHappens(t *testing.T) {
	f := newFakeWarden(t)
	d := startSeparate(t, f)
	id := create(t, d.socket, "sleep 100", `,"HostConfig":{"Memory":67108864}`)
	at := "/v1.50/containers/" + id
	must(t, d.socket, 204, "POST", at+"/start", "")
	refuse := func(what func(wire.Resources) error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.use.refuse = what
	}
	refuse(func(r wire.Resources) error {
		if r.Memory == 8<<20 {
			return errors.New("device or resource busy")
		}
		return nil
	})
	refusedWith(t, d.socket, 500, "busy", "POST", at+"/update", `{"Memory":8388608,"CpuQuota":5000}`)
	if told := boundsTold(f, id); len(told) != 2 || told[1].Memory != 64<<20 || told[1].CPUQuota != -1 {
		t.Errorf("told %+v", told)
	}
	if h := inspected(t, d.socket, id).HostConfig; h.Memory != 64<<20 || h.CPUQuota != 0 {
		t.Errorf("shown after a refusal: %+v", h.Resources)
	}
	// The warden dies with the answer on its lips; brigd with it.
	asked := make(chan struct{})
	hold := make(chan struct{})
	refuse(func(wire.Resources) error { close(asked); f.mu.Unlock(); <-hold; f.mu.Lock(); return nil })
	go func() { unheard(d.socket, at+"/update", `{"Memory":134217728}`) }()
	<-asked
	d.kill()
	refuse(nil)
	close(hold)
	d.start()
	if h := inspected(t, d.socket, id).HostConfig; h.Memory != 128<<20 {
		t.Errorf("shown %+v", h.Resources)
	}
	if told := boundsTold(f, id); told[len(told)-1].Memory != 128<<20 || len(told) != 4 {
		t.Errorf("told %+v", told)
	}
	d.kill()
	d.start()
	inspected(t, d.socket, id) // it has read everything when it answers
	if told := boundsTold(f, id); len(told) != 4 {
		t.Errorf("told once more: %+v", told)
	}
}
