package container

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/health"
)

// monitor is the health check of one run: a timer between probes, a goroutine during one. mu of its container guards it.
type monitor struct {
	check *health.Check
	run   *session
	timer *time.Timer
	over  bool  // the run has ended, or is being ended: results do not count any more
	hung  *Exec // a probe that could not be killed
}

// downTogether is within what time the end of a container is noted after the end of what was executed in it.
const downTogether = 250 * time.Millisecond

// vital is what is kept of a health check in the volatile directory, so that it goes on when brigd was killed. Docker
// forgets it.
type vital struct {
	Health *container.Health `json:"health"`
	// Run is when the run began, in nanoseconds since the epoch.
	Run int64 `json:"run"`
	// Probe is when the process of the probe under way began, in the kernel's clock; 0: none is under way.
	Probe uint64 `json:"probe,omitempty"`
}

func (r *Record) check() *health.Check {
	if r.Config.Healthcheck == nil {
		return nil
	}
	return health.Of(r.Config.Healthcheck, r.Config.Shell)
}

// watchHealth sets the timer of the first probe of a run that begins, or goes on where an earlier brigd ended.
func (c *Container) watchHealth() {
	c.mu.Lock()
	defer c.mu.Unlock()
	check := c.rec.check()
	if check == nil {
		return
	}
	leftover := c.adoptVital()
	now := time.Now()
	last := c.rec.Started
	if c.rec.Health == nil {
		c.rec.Health = health.Begin(nil)
	} else if n := len(c.rec.Health.Log); n > 0 && c.rec.Health.Log[n-1].End.After(last) {
		last = c.rec.Health.Log[n-1].End
	}
	m := &monitor{check: check, run: c.run}
	c.monitor = m
	if c.sick() {
		m.over = true
		go c.renewUnhealthy(m.run)
		return
	}
	wait := check.Pause(c.rec.Health, last.Sub(c.rec.Started)) - now.Sub(last)
	m.timer = time.AfterFunc(max(wait, 0), func() { c.probe(m) })
	if leftover != 0 { // nobody asks any more what it says
		go c.killExec(leftover)
	}
}

// sick tells whether the container is one to restart because of its health. Called with mu held.
func (c *Container) sick() bool {
	r := &c.rec
	return r.RestartUnhealthy && !r.Stopped && r.Health != nil && r.Health.Status == container.Unhealthy
}

// stopProbes ends the health check of a run, and tells whether the container was to be restarted because of its health.
func (c *Container) stopProbes() (unhealthy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.monitor; m != nil {
		m.over = true
		if m.timer != nil {
			m.timer.Stop()
		}
		c.monitor = nil
	}
	c.adoptVital()
	unhealthy = c.sick()
	if c.rec.Health != nil {
		c.rec.Health = health.Ended(c.rec.Health)
	}
	return unhealthy
}

// probe is what the timer does: one probe, and the timer again.
func (c *Container) probe(m *monitor) {
	r := c.runProbe(m)
	if r == nil {
		c.probeLater(m)
		return
	}
	c.e.cfg.Metrics.Probe(r.ExitCode == 0)
	if r.ExitCode == probeFailed || r.ExitCode == 128+int(unix.SIGKILL) {
		endsSoon(m.run)
	}
	c.mu.Lock()
	if m.over {
		c.mu.Unlock()
		return
	}
	before := c.rec.Health
	after := m.check.After(before, r, c.rec.Started)
	c.rec.Health = after
	if c.sick() {
		m.over = true
	} else {
		m.timer.Reset(m.check.Pause(after, r.End.Sub(c.rec.Started)))
	}
	renew := m.over
	c.mu.Unlock()
	c.saveVital(m, 0)
	if before.Status != after.Status {
		c.publish(events.ActionHealthStatus + ": " + events.Action(after.Status))
	}
	if renew {
		c.renewUnhealthy(m.run)
	}
}

// probeLater sets the timer again after a probe that has no result.
func (c *Container) probeLater(m *monitor) {
	c.mu.Lock()
	if !m.over {
		m.timer.Reset(m.check.Pause(c.rec.Health, time.Since(c.rec.Started)))
	}
	c.mu.Unlock()
	c.saveVital(m, 0)
}

// endsSoon waits a moment for the end of a run: a probe that goes down with its container is no result.
func endsSoon(run *session) {
	late := time.NewTimer(downTogether)
	defer late.Stop()
	select {
	case <-run.ended:
	case <-late.C:
	}
}

// saveVital writes down how a health check stands.
func (c *Container) saveVital(m *monitor, probe uint64) {
	c.save.Lock()
	defer c.save.Unlock()
	c.mu.Lock()
	h, gone := c.rec.Health, c.run != m.run || c.rec.State == Removing
	began := c.rec.Started.UnixNano()
	c.mu.Unlock()
	if gone { // what is left of a run is in the record
		return
	}
	if err := c.e.vitals.Write(c.id, vital{h, began, probe}, false); err != nil {
		c.warn(err)
	}
}

// loadVitals gives the containers the health that an earlier brigd knew of, and what it was just probing.
func (e *Engine) loadVitals() error {
	return e.vitals.Load(func(id string, b []byte) error {
		var v vital
		c := e.byID[id]
		if err := json.Unmarshal(b, &v); err != nil || c == nil || v.Health == nil {
			slog.Warn("what was known of a container's health is dropped", "id", id, "error", err)
			return e.vitals.Remove(id, false)
		}
		c.vital = &v
		return nil
	})
}

// adoptVital takes over what an earlier brigd knew of the run that is under way, or has just ended, and tells when the
// probe began that it left. Called with mu held.
func (c *Container) adoptVital() (leftover uint64) {
	v := c.vital
	c.vital = nil
	if v == nil || v.Run < c.rec.Started.UnixNano() {
		return 0 // it is of a run before this one
	}
	c.rec.Health = v.Health
	return v.Probe
}

// forgetVital is for the end of a run, when the record has what is to be kept.
func (c *Container) forgetVital() {
	if c.rec.Config.Healthcheck == nil {
		return
	}
	c.save.Lock()
	defer c.save.Unlock()
	if err := c.e.vitals.Remove(c.id, false); err != nil {
		c.warn(err)
	}
}
