package fault

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorded is what is known of a verb after it was done once.
type recorded struct {
	verb
	steps   []step
	allowed []state // before, between its parts, after
}

func (r *recorded) after() state { return r.allowed[len(r.allowed)-1] }

// prepare brings the machine to where the verb begins.
func (m *machine) prepare(v *verb) {
	m.t.Helper()
	for _, w := range v.before {
		m.brig(m.say(w)...)
	}
}

// look is the state with what the verb's probe finds.
func (m *machine) look(v *verb) state {
	m.t.Helper()
	s := m.state()
	if v.probe != nil {
		s += state("\nprobe: " + v.probe(m))
	}
	return s
}

// record does a verb and looks at what it does.
func (m *machine) record(v *verb) *recorded {
	m.t.Helper()
	r := &recorded{verb: *v}
	m.prepare(v)
	r.allowed = append(r.allowed, m.look(v))
	for _, part := range v.parts {
		m.brig(m.say(part)...)
		r.allowed = append(r.allowed, m.look(v))
	}
	m.clear()
	m.prepare(v)
	tr := startTracer(m.t, order{Engine: m.engineID, Roles: []string{"brigd", "brig-warden", "brig-router", "brig-store"}})
	out, code := m.try(m.say(v.do)...)
	r.steps, _ = tr.stop()
	if code != v.code {
		m.t.Fatalf("%s: exit code %d\n%s", v.name, code, out)
	}
	r.allowed = append(r.allowed, m.look(v))
	m.clear()
	m.settle()
	return r
}

// clear removes everything but what is there throughout.
func (m *machine) clear() {
	m.t.Helper()
	for _, c := range m.containers() {
		m.brig("rm", "-f", "-v", c.ID)
	}
	var volumes struct{ Volumes []struct{ Name string } }
	m.get("/volumes", &volumes)
	for _, v := range volumes.Volumes {
		m.brig("volume", "rm", v.Name)
	}
	var networks []struct{ Name string }
	m.get("/networks", &networks)
	for _, n := range networks {
		if !slices.Contains([]string{"bridge", "none", home}, n.Name) {
			m.brig("network", "rm", n.Name)
		}
	}
	var images []struct {
		ID       string `json:"Id"`
		RepoTags []string
	}
	m.get("/images/json", &images)
	for _, i := range images {
		if !slices.Contains(i.RepoTags, image+":latest") && !slices.Contains(i.RepoTags, "brig-probe:latest") {
			m.brig("rmi", "-f", i.ID)
		}
	}
}

// kase is one verb, struck at one step.
type kase struct {
	*recorded
	step  step
	fault fault
}

func (k *kase) name() string {
	return strings.ReplaceAll(fmt.Sprintf("%s/%s/%s", k.recorded.name, strings.ReplaceAll(k.step.String(), "/", "|"), k.fault.Name), " ", "_")
}

// play plays the case and looks at everything.
func (k *kase) play(m *machine) {
	m.t.Helper()
	m.prepare(&k.verb)
	brigd := m.find("brigd")
	cmd := m.command(m.say(k.do)...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	o := order{Engine: m.engineID, Roles: []string{k.step.role()}, Step: k.step, Fault: k.fault}
	if k.fault.Client { // it has to be known before, so it waits for its standard input's end
		cmd = m.command(m.say(k.do)...)
		cmd.Stdout, cmd.Stderr = &b, &b
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", "read x; exec \"$0\" \"$@\"", cmd.Path}, cmd.Args[1:]...)
		r, w, err := os.Pipe()
		if err != nil {
			m.t.Fatal(err)
		}
		cmd.Stdin = r
		if err := cmd.Start(); err != nil {
			m.t.Fatal(err)
		}
		r.Close()
		o.Client = cmd.Process.Pid
		tr := startTracer(m.t, o)
		w.WriteString("go\n")
		w.Close()
		k.judge(m, tr, cmd, &b, brigd)
		return
	}
	tr := startTracer(m.t, o)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	k.judge(m, tr, cmd, &b, brigd)
}

func (k *kase) judge(m *machine, tr *tracer, cmd *exec.Cmd, b *bytes.Buffer, brigd []int) {
	m.t.Helper()
	out, code := m.await(cmd, b)
	_, hit := tr.stop()
	if hit && slices.ContainsFunc(k.fault.Kill, func(p string) bool { return p != "brig-worker" && p != "brig-keeper" }) {
		m.eventually("the next brigd", func() bool {
			now := m.find("brigd")
			return len(now) == 1 && !slices.Contains(brigd, now[0])
		})
	}
	if !hit {
		m.t.Logf("the step was not passed this time; exit code %d", code)
	}
	acknowledged := code == k.code && cmd.ProcessState.Exited()
	down := hit && m.recover(&k.fault)
	k.hold(m, acknowledged, down, out, code)
	if !down && k.fault.Errno != 0 { // what is in memory was looked at; now what is on disk
		m.next(k.step.role())
		k.hold(m, acknowledged, down, out, code)
	}
	// A keeper takes the network along: containers go on without one until they are started again.
	keeper := hit && slices.Contains(k.fault.Kill, "brig-keeper")
	if !keeper {
		k.again(m, acknowledged)
	}
	m.bystands(!keeper)
	if keeper {
		m.seat()
	}
	m.clear()
	m.settle()
}

// again does what has not happened once more: nothing of the first time is in its way.
func (k *kase) again(m *machine, acknowledged bool) {
	m.t.Helper()
	if acknowledged || m.look(&k.verb) != k.allowed[0] {
		return
	}
	if out, code := m.try(m.say(k.do)...); code != k.code {
		m.t.Errorf("once more: exit code %d\n%s", code, out)
	}
}

// recover brings up an engine after one that does not come back by itself, and tells whether it has lost its processes.
func (m *machine) recover(f *fault) (down bool) {
	m.t.Helper()
	switch {
	case f.Down:
		m.fell()
	case f.Signal != 0:
		m.eventually("the end of the engine", func() bool { return len(m.find("brig-keeper")) == 0 })
	case slices.Contains(f.Kill, "brig-keeper"):
		m.eventually("the end of the warden", func() bool { return len(m.find("brig-warden")) == 0 })
		m.start()
		return false
	default:
		return false
	}
	m.start()
	m.seat()
	return true
}

// next has the engine read everything from its records again, and sweep.
func (m *machine) next(role string) {
	m.t.Helper()
	old := m.find("brigd")
	m.kill([]string{role})
	m.eventually("the next brigd", func() bool {
		now := m.find("brigd")
		return len(now) == 1 && !slices.Contains(old, now[0])
	})
}

// hold holds what is there against what may be there.
func (k *kase) hold(m *machine, acknowledged, down bool, out string, code int) {
	m.t.Helper()
	allowed := k.allowed
	if acknowledged {
		allowed = allowed[len(allowed)-1:]
	}
	var now state
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now = m.look(&k.verb)
		for _, s := range allowed {
			if k.same(now, s, acknowledged, down) {
				return
			}
		}
	}
	var want []string
	for _, s := range allowed {
		if down {
			s = s.fallen()
		}
		want = append(want, string(s))
	}
	m.t.Errorf("acknowledged: %t (exit code %d)\n%s\nthere is\n%s\nand may be\n%s", acknowledged, code, out, now, strings.Join(want, "\nor\n"))
}

// same compares. Of a start that was not acknowledged a container may remain that says it was cut off.
func (k *kase) same(now, want state, acknowledged, down bool) bool {
	if !acknowledged && k.torn {
		now, want = now.withoutProbe(), want.withoutProbe()
	}
	if !acknowledged && k.starts && now.fallen() == want.fallen() {
		return true
	}
	if down || slices.Contains(k.fault.Kill, "brig-keeper") { // whose death costs exit codes, as documented
		return now == want || now.fallen() == want.fallen() && (down || running(now) == running(want))
	}
	return now == want
}

// running leaves of a state what runs.
func running(s state) (names string) {
	for line := range strings.Lines(string(s)) {
		if f := strings.Fields(line); f[0] == "container" && (f[2] == "running" || f[2] == "paused") {
			names += f[1] + " "
		}
	}
	return names
}

// noteDeaths remembers when wardens died: an engine gives up on those that die all the time. One dies also when it cannot
// reap a brigd yet, because that is traced.
func (m *machine) noteDeaths() {
	log, _ := os.ReadFile(m.Dir + "/run/engine.log")
	died := strings.Count(string(log), "the warden died")
	for range died - m.died {
		m.deaths = append(m.deaths, time.Now())
	}
	m.died = died
}

// refresh gives the machine an engine whose dead are forgotten, when there are many.
func (m *machine) refresh() {
	m.t.Helper()
	m.noteDeaths()
	m.deaths = slices.DeleteFunc(m.deaths, func(t time.Time) bool { return time.Since(t) > 11*time.Second })
	if len(m.deaths) < 2 {
		return
	}
	m.stop()
	m.start()
	m.seat()
	m.noteDeaths()
	m.deaths = nil
}

// TestFaults is some steps of every verb, or a few steps of a few without BRIG_SLOW. BRIG_FAULTS=100 strikes every step,
// BRIG_FAULT_VERB=rename those of one verb.
func TestFaults(t *testing.T) {
	factor, list := 1, plans()
	fmt.Sscan(os.Getenv("BRIG_FAULTS"), &factor)
	quick, only := os.Getenv("BRIG_SLOW") == "", os.Getenv("BRIG_FAULT_VERB")
	if quick = quick && only == "" && factor == 1; quick {
		list = few()
	}
	machines := make(chan *machine, 2)
	for range cap(machines) {
		m := newMachine(t, "")
		t.Cleanup(func() { m.with(t).close() })
		m.furnish()
		machines <- m
	}
	var all []kase
	m := <-machines
	for _, v := range verbs() {
		if only != "" && v.name != only || quick && !slices.Contains([]string{"create", "run", "rm", "load", "network connect"}, v.name) {
			continue
		}
		all = append(all, m.record(&v).cases(list, factor)...)
	}
	machines <- m
	// Spread, so that the same process does not die all the time.
	slices.SortFunc(all, func(a, b kase) int { return int(hash(a.name())) - int(hash(b.name())) })
	t.Run("cases", func(t *testing.T) {
		for _, k := range all {
			t.Run(k.name(), func(t *testing.T) {
				t.Parallel()
				m := (<-machines).with(t)
				defer func() {
					if t.Failed() {
						t.Logf("engine's log:\n%s", m.log())
						m.replace()
					}
					machines <- m
				}()
				m.refresh()
				k.play(m)
			})
		}
	})
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32() >> 1
}

// furnish gives a new machine what is there throughout.
func (m *machine) furnish() {
	m.t.Helper()
	m.bring()
	m.seat()
	m.rest()
}

// replace puts a new engine in the place of one that has something wrong.
func (m *machine) replace() {
	m.fell()
	if err := os.RemoveAll(m.Dir + "/root"); err != nil {
		m.t.Fatal(err)
	}
	m.start()
	m.furnish()
}
