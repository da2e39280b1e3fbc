package container

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/health"
	"github.com/brig-engine/brig/internal/daemon/policy"
)

const (
	// killPatience is how long a probe that was killed may take to end.
	killPatience = 5 * time.Second
	// probeFailed is the code of a probe that has none of its own.
	probeFailed = -1
)

// runProbe executes the check's command as the container's user, with the container's confinement, and waits for it no
// longer than its timeout. There is no result, nil, of a container that stands still, or stood still meanwhile.
func (c *Container) runProbe(m *monitor) *container.HealthcheckResult {
	stood := c.standing()
	if stood() {
		return nil
	}
	r := &container.HealthcheckResult{Start: time.Now(), ExitCode: probeFailed}
	defer func() { r.End = time.Now() }()
	if m.hung != nil && m.hung.running() && !c.killProbe(m.hung) {
		r.Output = "the probe before this one still hangs, and this version of Brig cannot kill it: the image has no shell"
		return r
	}
	m.hung = nil
	x, err := c.e.createExec(c, &container.ExecCreateRequest{Cmd: m.check.Command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return failedProbe(r, err, stood)
	}
	defer c.e.forgetExec(x)
	out := collect(x.run)
	c.e.probes <- struct{}{} // as many at once as there are starts
	err = x.Start(context.Background(), nil, nil)
	<-c.e.probes
	if err != nil {
		return failedProbe(r, err, stood)
	}
	c.saveVital(m, x.run.info().StartTime)
	late := time.NewTimer(m.check.Timeout)
	defer late.Stop()
	select {
	case <-x.run.ended:
		r.ExitCode, r.Output = x.run.exit.Code, (<-out).String()
		return r
	case <-late.C:
	}
	r.Output = fmt.Sprintf("Health check exceeded timeout (%v)", m.check.Timeout) // clients read it
	excused := stood()
	if !c.killProbe(x) {
		m.hung = x
	} else if s := (<-out).String(); s != "" {
		r.Output += ": " + s
	}
	if excused {
		return nil
	}
	return r
}

func failedProbe(r *container.HealthcheckResult, err error, stood func() bool) *container.HealthcheckResult {
	if stood() {
		return nil
	}
	r.Output = err.Error()
	return r
}

// standing gives a function that tells whether the container stands still, or has since it was made.
func (c *Container) standing() func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.thaws
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.rec.Paused || c.thaws != before
	}
}

// collect takes what a process writes until it has ended.
func collect(run *session) <-chan *health.Output {
	client := run.hub.subscribe(true, true)
	done := make(chan *health.Output, 1)
	go func() {
		out := &health.Output{}
		for {
			chunk, _, more := client.next()
			if !more {
				break
			}
			out.Add(chunk.data)
		}
		done <- out
	}()
	return done
}

// killProbe kills a probe and tells whether it has ended.
func (c *Container) killProbe(x *Exec) bool {
	began := x.run.info().StartTime
	if !c.alone(x, began) || !c.killExec(began) {
		return !x.running()
	}
	late := time.NewTimer(killPatience)
	defer late.Stop()
	select {
	case <-x.run.ended:
		return true
	case <-late.C:
		return false
	}
}

// alone tells whether nothing else that was executed in the container began in the same tick of the kernel's clock.
func (c *Container) alone(x *Exec, began uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.execs {
		if o != x && o.running() && o.run.info().StartTime == began {
			return false
		}
	}
	return true
}

// killScript kills the process that was executed in a container and began at the time $1 (the fields of proc(5), counted
// from behind the name): its parent is outside, so its number is 0. It takes nothing but a shell.
const killScript = `for d in /proc/[0-9]*; do
 read -r l 2>/dev/null <$d/stat || continue
 t=$1; set -- ${l##*) }
 if [ "$2" = 0 ] && [ "${20}" = "$t" ] && [ $d != /proc/1 ]; then kill -9 -${d#/proc/}; kill -9 ${d#/proc/}; fi
 set -- $t
done`

// killExec kills what was executed in the container and began at that time, and tells whether there was a way to. The
// warden has no operation for it yet, so it is done from inside, by the same user, with the container's own shell. It
// leaves no trace in the events.
func (c *Container) killExec(began uint64) bool {
	v := c.View()
	if v.State != Running {
		return false
	}
	img, err := c.e.cfg.Images.Lookup(v.ImageID)
	if err != nil {
		c.warn(err)
		return false
	}
	for _, shell := range shells(v.Config.Shell) {
		req := &container.ExecCreateRequest{Cmd: []string{shell, "-c", killScript, "sh", strconv.FormatUint(began, 10)}}
		p, err := policy.MakeExec(policy.ExecInput{Request: req, Spec: &v.Spec, Config: &v.Config, Image: img, Level: policy.LevelOf(&v.Host)})
		if err != nil {
			c.warn(err)
			return false
		}
		x := &Exec{id: newID(), c: c, process: *p, request: *req, run: newSession(false), quiet: true}
		if err := x.Start(context.Background(), nil, nil); err == nil {
			ends(x.run, int(killPatience/time.Second))
			return true
		}
	}
	return false
}

// shells are where one may be; the image's own first, if it is one that reads the script.
func shells(own []string) (list []string) {
	if len(own) > 0 && strings.HasSuffix(path.Base(own[0]), "sh") {
		list = append(list, own[0])
	}
	return append(list, "/bin/sh", "sh", "/busybox/sh")
}

// renewUnhealthy ends a run whose container is restarted because of its health. What it does is Stop, but by nobody's
// hand; that it is restarted is decided at its end.
func (c *Container) renewUnhealthy(run *session) {
	c.settle()
	c.mu.Lock()
	stale := c.run != run || c.rec.State != Running || c.rec.Stopped
	c.mu.Unlock()
	if stale {
		return
	}
	if err := c.e.endRun(context.Background(), c, run, StopOptions{}); err != nil {
		c.warn(fmt.Errorf("restart of the unhealthy container: %w", err))
	}
}
