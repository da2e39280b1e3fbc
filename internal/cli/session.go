package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
)

// session is one attachment of this process's three streams to a program.
type session struct {
	app    *App
	config *container.Config // Tty and the three Attach fields are read
	keys   []byte            // that detach
	proxy  bool              // pass signals on

	terminal *console.Terminal // in raw mode while the session lasts
}

func bindDetachKeys(cmd *cobra.Command, keys *string) {
	cmd.Flags().StringVar(keys, "detach-keys", "",
		"Keys that detach from the program (default "+console.DefaultDetachKeys+")")
}

func (s *session) checkTerminal() error {
	if s.config.Tty && s.config.AttachStdin && !console.Of(s.app.In).Is() {
		return errors.New("-t with -i needs a terminal as standard input. Next: leave out -t")
	}
	return nil
}

// run attaches to a container, calls start (which may be nil for one that runs), and returns the program's exit status
// as an error, or nil for 0 and after the person has detached.
func (s *session) run(ctx context.Context, id string, until container.WaitCondition, start func() error) error {
	engine, err := s.app.engine()
	if err != nil {
		return err
	}
	path := "/containers/" + url.PathEscape(id)
	w := watch(ctx, engine, path, until)
	stream, err := engine.Upgrade(ctx, api.Request{Method: "POST", Path: path + "/attach", Query: s.attachQuery()})
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := <-w.ready; err != nil {
		return err
	}
	started := make(chan struct{})
	pump, restore, err := s.pump(stream)
	if err != nil {
		return err
	}
	defer restore()
	defer s.forward(ctx, engine, id, started)()
	if start != nil {
		if err := start(); err != nil {
			s.awaitRemoval(w, until)
			return err
		}
	}
	close(started)
	defer s.followSize(ctx, engine, path)()
	err = <-pump
	if errors.Is(err, console.ErrDetached) {
		restore()
		s.app.say("detached; the container goes on. Next: brig attach %s", short(id))
		return nil
	}
	if err != nil {
		// Nobody reads what the program writes any more; waiting for its end could take for ever.
		return fmt.Errorf("output of container %s: %w", short(id), err)
	}
	end := <-w.result
	if end.err != nil || end.code == 0 {
		return end.err
	}
	if end.oom {
		return &exitError{end.code, errors.New("out of memory: the kernel ended a process at the container's limit. " +
			"Next: a larger --memory")}
	}
	return &exitError{code: end.code}
}

func short(id string) string { return id[:min(len(id), 12)] }

func (s *session) attachQuery() url.Values {
	q := url.Values{"stream": {"1"}}
	setFlag(q, "stdin", s.config.AttachStdin)
	setFlag(q, "stdout", s.config.AttachStdout)
	setFlag(q, "stderr", s.config.AttachStderr)
	return q
}

// pump starts copying. The channel gets its result; restore gives the terminal back and may be called twice.
func (s *session) pump(stream console.Stream) (result <-chan error, restore func(), err error) {
	with := console.Streams{Out: s.app.Out, Err: s.app.Err, Demux: api.Demux}
	terminal := console.Of(nil)
	s.terminal = terminal
	if s.config.Tty {
		with.Demux = nil
	}
	if s.config.AttachStdin {
		with.In = s.app.In
		if s.config.Tty {
			terminal, with.Detach = console.Of(s.app.In), s.keys
			s.terminal = terminal
		}
	}
	if err := terminal.Raw(); err != nil {
		return nil, nil, err
	}
	stop := func() {}
	if terminal.Is() {
		stop = console.WatchSize(func() {}, func() { _ = terminal.Raw() })
	}
	done := make(chan error, 1)
	go func() { done <- console.Pump(stream, with) }()
	return done, func() { stop(); stop = func() {}; terminal.Restore() }, nil
}

// followSize tells the engine the size of the terminal, now and whenever it changes, until the function that it returns
// is called.
func (s *session) followSize(ctx context.Context, engine *api.Client, path string) (stop func()) {
	terminal := console.Of(s.app.Out)
	if !s.config.Tty || !terminal.Is() {
		return func() {}
	}
	var lastRows, lastCols uint
	tell := func() {
		rows, cols, ok := terminal.Size()
		if !ok || rows == lastRows && cols == lastCols {
			return
		}
		lastRows, lastCols = rows, cols
		q := url.Values{"h": {strconv.Itoa(int(rows))}, "w": {strconv.Itoa(int(cols))}}
		// A program that has just ended has no size; nothing else can go wrong that the person could act on.
		_ = engine.Call(ctx, "POST", path+"/resize", q, nil)
	}
	return console.WatchSize(tell, func() {})
}

// forward passes signals on to the program once it runs; those that come earlier wait for that. The third request to
// end is taken as meant for the command line itself, whatever the program and the engine are doing.
func (s *session) forward(ctx context.Context, engine *api.Client, id string, started <-chan struct{}) (stop func()) {
	if !s.proxy {
		return func() {}
	}
	names := console.Forwarded()
	c := make(chan os.Signal, 16)
	for sig := range names {
		signal.Notify(c, sig)
	}
	send := func(names ...string) {
		for _, name := range names {
			// The program may end at the same moment; its exit status is what will be reported.
			_ = engine.Call(ctx, "POST", "/containers/"+url.PathEscape(id)+"/kill", url.Values{"signal": {name}}, nil)
		}
	}
	done := make(chan struct{})
	go func() {
		var early []string
		for requests := 0; ; {
			select {
			case <-done:
				return
			case <-started:
				started = nil
				go send(early...) // an engine that does not answer must not keep the third request from being counted
			case sig := <-c:
				name := names[sig]
				if name == "SIGINT" || name == "SIGTERM" {
					requests++
				}
				if requests == 3 {
					s.giveUp(id)
				}
				if started != nil {
					early = append(early, name)
				} else {
					go send(name)
				}
			}
		}
	}()
	return func() { signal.Stop(c); close(done) }
}

// giveUp ends the command line and leaves the container alone.
func (s *session) giveUp(id string) {
	s.terminal.Restore()
	s.app.say("asked to end three times; the container goes on. Next: brig kill %s", short(id))
	os.Exit(130)
}

// awaitRemoval gives the engine a moment to remove a container that could not be started, so that its name is free
// again when the command ends.
func (s *session) awaitRemoval(w *watcher, until container.WaitCondition) {
	if until != container.WaitConditionRemoved {
		return
	}
	select {
	case <-w.result:
	case <-time.After(5 * time.Second):
	}
}

// watcher waits for a container on a connection of its own. ready is told when the engine has begun to wait.
type watcher struct {
	ready  chan error
	result chan waited
}

type waited struct {
	code int
	oom  bool // the kernel ended a process of the container for its use of memory
	err  error
}

func watch(ctx context.Context, engine *api.Client, path string, until container.WaitCondition) *watcher {
	w := &watcher{ready: make(chan error, 1), result: make(chan waited, 1)}
	go func() {
		q := url.Values{}
		if until != container.WaitConditionNotRunning { // the default
			q.Set("condition", string(until))
		}
		res, err := engine.Do(ctx, api.Request{Method: "POST", Path: path + "/wait", Query: q})
		w.ready <- err
		if err != nil {
			w.result <- waited{err: err}
			return
		}
		defer res.Body.Close()
		var body struct {
			container.WaitResponse
			OOMKilled bool
		}
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			w.result <- waited{err: fmt.Errorf("lost the engine while the container was running: %w", err)}
			return
		}
		if body.Error != nil && body.Error.Message != "" {
			w.result <- waited{err: errors.New(body.Error.Message)}
			return
		}
		w.result <- waited{code: int(body.StatusCode), oom: body.OOMKilled}
	}()
	return w
}

func (w *watcher) exit() (int, error) {
	r := <-w.result
	return r.code, r.err
}
