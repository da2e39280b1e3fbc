package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/bundle"
	"github.com/brig-engine/brig/internal/daemon/metrics"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// maxExecs is how many execs of one container are remembered, and maxExecBytes how much of what their requests say; the
// oldest that is not running makes room.
const (
	maxExecs     = 256
	maxExecBytes = 8 << 20
)

// execFailed is the exit code of an exec that could not be started.
const execFailed = 126

// Exec is one process that is, was or will be executed in a container.
type Exec struct {
	id      string
	c       *Container
	process wire.Process
	request container.ExecCreateRequest
	run     *session
	quiet   bool          // it is the engine's own, and no event
	missing policy.NoUser // why it cannot be started

	mu    sync.Mutex
	phase phase
	code  int
}

type phase int

const (
	execNew phase = iota
	execRunning
	execEnded
)

// ExecView is an exec as it is at one moment.
type ExecView struct {
	ID, ContainerID string
	Request         container.ExecCreateRequest
	Running         bool
	ExitCode        *int // nil until it has ended
	PID             int
}

// CreateExec prepares a process in a running container.
func (e *Engine) CreateExec(c *Container, req *container.ExecCreateRequest) (string, error) {
	x, err := e.createExec(c, req)
	if err != nil {
		return "", err
	}
	return x.id, nil
}

func (e *Engine) createExec(c *Container, req *container.ExecCreateRequest) (*Exec, error) {
	c.settle()
	c.mu.Lock()
	v := c.rec
	c.mu.Unlock()
	switch v.State {
	case Running:
	case Restarting:
		return nil, fmt.Errorf("Container %s is restarting, wait until the container is running: %w", c.id, //nolint:staticcheck
			errdefs.ErrConflict)
	default:
		return nil, errNotRunning(c)
	}
	if v.Paused {
		return nil, errPaused(c)
	}
	img, err := e.cfg.Images.Lookup(v.ImageID)
	if err != nil {
		return nil, fmt.Errorf("the image of container %s: %w", c.id[:12], err)
	}
	p, err := policy.MakeExec(policy.ExecInput{Request: req, Spec: &v.Spec, Config: &v.Config, Image: img, Level: policy.LevelOf(&v.Host)})
	var missing policy.NoUser
	if errors.As(err, &missing) {
		p, err = &wire.Process{Terminal: req.Tty}, nil
	}
	if err != nil {
		return nil, err
	}
	x := &Exec{id: newID(), c: c, process: *p, request: *req, run: newSession(p.Terminal), missing: missing}
	if err := e.remember(c, x); err != nil {
		return nil, err
	}
	c.publish(events.ActionExecCreate+": "+events.Action(strings.Join(req.Cmd, " ")), "execID", x.id)
	return x, nil
}

// forgetExec is for what the engine executes itself, over and over.
func (e *Engine) forgetExec(x *Exec) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	if i := slices.Index(x.c.execs, x); i >= 0 {
		e.forget(x.c, i)
	}
}

// forget drops one of those that are remembered; both locks are held. Who reads the list without them has it as it was.
func (e *Engine) forget(c *Container, i int) {
	delete(e.execs, c.execs[i].id)
	c.execBytes -= c.execs[i].size()
	c.execs = slices.Delete(slices.Clone(c.execs), i, i+1)
}

func (e *Engine) remember(c *Container, x *Exec) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.State != Running {
		return errNotRunning(c)
	}
	for len(c.execs) >= maxExecs || c.execBytes+x.size() > maxExecBytes {
		oldest := slices.IndexFunc(c.execs, func(o *Exec) bool { return !o.running() })
		if oldest < 0 {
			return fmt.Errorf("%d processes are being executed in container %s, as many as can be remembered (%d, or %d MiB of "+
				"arguments and environment): %w", len(c.execs), c.id[:12], maxExecs, maxExecBytes>>20, errdefs.ErrResourceExhausted)
		}
		e.forget(c, oldest)
	}
	c.execs = append(c.execs, x)
	c.execBytes += x.size()
	e.execs[x.id] = x
	return nil
}

// FindExec gives an exec by its id.
func (e *Engine) FindExec(id string) (*Exec, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if x := e.execs[id]; x != nil {
		return x, nil
	}
	return nil, fmt.Errorf("No such exec instance: %.256s: %w", id,
		errdefs.ErrNotFound) //nolint:staticcheck // clients read it
}

// size is how much memory the request holds, roughly.
func (x *Exec) size() (n int) {
	for _, list := range [][]string{x.request.Cmd, x.request.Env, x.process.Env} {
		for _, s := range list {
			n += len(s) + 16
		}
	}
	return n
}

func (x *Exec) running() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.phase == execRunning
}

// View gives the exec as it is now.
func (x *Exec) View() ExecView {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := ExecView{ID: x.id, ContainerID: x.c.id, Request: x.request, Running: x.phase == execRunning}
	if x.phase == execEnded {
		code := x.code
		v.ExitCode = &code
	}
	v.PID = x.run.info().PID
	return v
}

// Terminal tells whether the process has a terminal.
func (x *Exec) Terminal() bool { return x.process.Terminal }

// Start executes the process. With conn set it returns when the process has ended or the client has gone; the error of
// a start that failed is then written to the client. begun is called before anything is written to conn.
func (x *Exec) Start(ctx context.Context, size *[2]uint, begun func() (Conn, error)) error {
	if x.c.paused() {
		return errPaused(x.c)
	}
	x.mu.Lock()
	if x.phase != execNew {
		x.mu.Unlock()
		return fmt.Errorf("exec %s has already run: %w", x.id[:12], errdefs.ErrConflict)
	}
	x.phase = execRunning
	x.mu.Unlock()
	if size != nil {
		x.process.Rows, x.process.Cols = uint16(min(size[0], 0xffff)), uint16(min(size[1], 0xffff))
	}
	if begun == nil {
		return x.begin(ctx)
	}
	conn, err := begun()
	if err != nil {
		x.over(wire.Exit{Code: execFailed}, err)
		return err
	}
	r := &x.request
	client := x.run.hub.subscribe(r.AttachStdout, r.AttachStderr)
	defer client.close()
	if err := x.begin(ctx); err != nil {
		// On standard output, where Docker's clients get it.
		return WriteFrame(conn, !x.process.Terminal, 1, []byte(StartText(ExitCode(err), err.Error())+"\r\n"))
	}
	keys, err := policy.ParseDetachKeys(r.DetachKeys)
	if err != nil {
		return err
	}
	detached, err := x.run.serve(client, conn, AttachOptions{Stdin: r.AttachStdin, DetachKeys: keys}, true)
	if detached {
		x.c.publish(events.ActionExecDetach, "execID", x.id)
	}
	return err
}

func (x *Exec) begin(ctx context.Context) (err error) {
	defer func(begin time.Time) { x.c.e.cfg.Metrics.Action(metrics.Exec, begin, err) }(time.Now())
	if x.missing != "" {
		x.over(wire.Exit{Code: execFailed}, x.missing)
		return fmt.Errorf("%w: %w", x.missing, errdefs.ErrInvalidArgument)
	}
	ctx = context.WithoutCancel(ctx)
	c := x.c
	x.run.setClose(func() {
		ref := wire.ProcessRef{ID: c.id, Exec: x.id}
		if _, err := c.e.cfg.Warden.Call(ctx, wire.OpProcessCloseStdin, ref, nil); err != nil && !errdefs.IsNotFound(err) {
			c.warn(fmt.Errorf("close standard input: %w", err))
		}
	})
	q := wire.ExecStart{ID: c.id, Exec: x.id, Process: x.process}
	if c.View().Spec.Runtime != "" {
		q.Description, err = bundle.Process(&x.process)
	}
	var st wire.Started
	var fds []int
	if err == nil {
		fds, err = c.e.cfg.Warden.Call(ctx, wire.OpExecStart, q, &st)
	}
	var s streams
	if err == nil {
		s, err = sortFDs(&st, fds)
	}
	if err == nil {
		err = x.run.adopt(st, s.files, func(stream byte, f *os.File) *pump {
			return &pump{stream: stream, f: f, hub: x.run.hub, warn: c.warn}
		})
	}
	if err != nil {
		code := ExitCode(err)
		if code == 125 { // which docker run alone has
			code = execFailed
		}
		x.over(wire.Exit{Code: code}, err)
		return err
	}
	x.publish(events.ActionExecStart + ": " + events.Action(strings.Join(x.process.Args, " ")))
	return c.e.watch.add(s.pidfd, x.ended)
}

func (x *Exec) ended() {
	exit, known := x.c.e.askExit(wire.OpProcessFinish, wire.ProcessRef{ID: x.c.id, Exec: x.id}, x.c.warn)
	if !known {
		return
	}
	if exit.Unknown {
		exit.Code = 128 + int(unix.SIGKILL) // it went down with its container
	}
	x.run.drain()
	x.over(exit, nil)
	x.publish(events.ActionExecDie, "exitCode", strconv.Itoa(exit.Code))
}

func (x *Exec) publish(a events.Action, extra ...string) {
	if !x.quiet {
		x.c.publish(a, append([]string{"execID", x.id}, extra...)...)
	}
}

// over notes the end before anybody who waits for it is woken.
func (x *Exec) over(exit wire.Exit, failed error) {
	x.mu.Lock()
	x.phase, x.code = execEnded, exit.Code
	x.mu.Unlock()
	x.run.end(exit, failed)
}

// Resize sets the size of the terminal. A client that was told that the exec begins may ask before it has one, and only
// once.
func (x *Exec) Resize(rows, cols uint16) error {
	if !x.running() {
		return fmt.Errorf("exec %s is not running: %w", x.id[:12], errdefs.ErrConflict)
	}
	select {
	case <-x.run.started:
	case <-x.run.ended:
	}
	return x.run.resize(rows, cols)
}

// Resize sets the size of the container's terminal.
func (c *Container) Resize(rows, cols uint16) error {
	c.mu.Lock()
	run, state := c.run, c.rec.State
	c.mu.Unlock()
	if state != Running {
		return errNotRunning(c)
	}
	if err := run.resize(rows, cols); err != nil {
		return err
	}
	c.publish(events.ActionResize, "height", strconv.Itoa(int(rows)), "width", strconv.Itoa(int(cols)))
	return nil
}
