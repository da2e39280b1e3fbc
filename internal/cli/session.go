package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// session is one attachment of this process's three streams to a program.
type session struct {
	app    *App
	config *engineapi.Config // Tty and the three Attach fields are read
	keys   []byte            // that detach
	proxy  bool              // pass signals on

	terminal *console.Terminal // in raw mode while the session lasts
}

// beginning is how a session's container is started: by a request of its own, or together with the request to attach,
// after which refused says what becomes of an error. If stream is not nil, it was started when it was made.
type beginning struct {
	start   func() error
	refused func(error) error
	stream  *api.Stream
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

// run attaches to a container, starts it as begin says (nil for one that runs), and returns the program's exit status as
// an error, or nil for 0 and after the person has detached.
func (s *session) run(ctx context.Context, id string, until engineapi.WaitCondition, begin *beginning) error {
	engine, err := s.app.engine()
	if err != nil {
		return err
	}
	s.terminal = s.own()
	path := "/containers/" + url.PathEscape(id)
	started := make(chan struct{})
	defer s.forward(ctx, engine, id, started)()
	stream, w, err := s.open(ctx, engine, path, until, begin)
	if err != nil {
		return err
	}
	defer stream.Close()
	var result []byte
	pump, restore, err := s.pump(stream, &result, begin == nil || stream.Started)
	if err != nil {
		return err
	}
	defer restore()
	if begin != nil && !stream.Started {
		if err := begin.start(); err != nil {
			s.awaitRemoval(w, until)
			return err
		}
	}
	close(started)
	defer s.followSize(ctx, engine, path)()
	err = pump()
	if errors.Is(err, console.ErrDetached) {
		restore()
		s.app.say("detached; the container goes on. Next: brig attach %s", short(id))
		return nil
	}
	if err != nil {
		// Nobody reads what the program writes any more; waiting for its end could take for ever.
		return fmt.Errorf("output of container %s: %w", short(id), err)
	}
	var end waited
	if stream.Started {
		end = parseEnd(result, nil)
	} else {
		end = <-w.result
	}
	if end.err != nil || end.code == 0 {
		return end.err
	}
	if end.oom {
		return &exitError{end.code, fmt.Errorf("out of memory: %s", cmp.Or(end.reason,
			"the kernel ended a process at the container's limit. Next: a larger --memory"))}
	}
	return &exitError{code: end.code}
}

// open attaches. Without a terminal the same request starts the container and waits for its end; otherwise, and with an
// engine that does not know such a request, w waits on a connection of its own.
func (s *session) open(ctx context.Context, engine *api.Client, path string, until engineapi.WaitCondition,
	begin *beginning) (stream *api.Stream, w *watcher, err error) {
	if begin != nil && begin.stream != nil {
		return begin.stream, nil, nil
	}
	attach := api.Request{Method: "POST", Path: path + "/attach", Query: s.attachQuery()}
	whole := begin != nil && !s.config.Tty
	if whole {
		attach.Header = map[string]string{api.RunHeader: string(until)}
	} else {
		w = watch(ctx, engine, path, until)
	}
	stream, err = engine.Upgrade(ctx, attach)
	switch {
	case err != nil && whole:
		return nil, nil, begin.refused(err)
	case err != nil:
		return nil, nil, err
	case stream.Started:
		return stream, nil, nil
	case whole:
		w = watch(ctx, engine, path, until)
	}
	if err = <-w.ready; err != nil {
		stream.Close()
	}
	return stream, w, err
}

// own is the terminal that becomes the program's while the session lasts, or none.
func (s *session) own() *console.Terminal {
	if s.config.Tty && s.config.AttachStdin {
		return console.Of(s.app.In)
	}
	return console.Of(nil)
}

func short(id string) string { return id[:min(len(id), 12)] }

func (s *session) attachQuery() url.Values {
	q := url.Values{"stream": {"1"}}
	setFlag(q, "stdin", s.config.AttachStdin)
	setFlag(q, "stdout", s.config.AttachStdout)
	setFlag(q, "stderr", s.config.AttachStderr)
	return q
}

// pump copies until the output ends, which wait waits for: from now on, or, if the program runs already and nobody types,
// in wait itself. restore gives the terminal back and may be called twice.
func (s *session) pump(stream *api.Stream, end *[]byte, runs bool) (wait func() error, restore func(), err error) {
	with := console.Streams{Out: s.app.Out, Err: s.app.Err, Demux: api.Demux}
	if stream.Started {
		with.Demux = api.DemuxRun(end)
	}
	if s.config.Tty {
		with.Demux = nil
	}
	if s.config.AttachStdin {
		with.In = s.app.In
		if s.config.Tty {
			with.Detach = s.keys
		}
	}
	terminal := s.terminal
	if err := terminal.Raw(); err != nil {
		return nil, nil, err
	}
	stop := func() {}
	if terminal.Is() {
		stop = console.WatchSize(func() {}, func() { _ = terminal.Raw() })
	}
	wait = func() error { return console.Pump(stream, with) }
	if with.In != nil || !runs {
		done := make(chan error, 1)
		go func() { done <- console.Pump(stream, with) }()
		wait = func() error { return <-done }
	}
	return wait, func() { stop(); stop = func() {}; terminal.Restore() }, nil
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

// settling is how long a session lasts before it listens to signals; until then they end the command line, as they did
// before it, and the engine removes a container that was made and started by the same request. Each of them costs the Go
// runtime two changes of the thread, and the first one two threads, which is a good part of what a command line costs
// that is over sooner.
const settling = 20 * time.Millisecond

// forward passes signals on to the program once it runs; those that come earlier wait for that. After stop, signals are
// still kept from this process, which is about to end.
func (s *session) forward(ctx context.Context, engine *api.Client, id string, started <-chan struct{}) (stop func()) {
	if !s.proxy {
		return func() {}
	}
	done := make(chan struct{})
	settled := time.AfterFunc(settling, func() {
		f := &forwarder{engine: engine, path: "/containers/" + url.PathEscape(id) + "/kill",
			signals: make(chan os.Signal, 16), names: console.Signals{}}
		f.run(ctx, started, done, func() { s.giveUp(id) })
	})
	return func() {
		settled.Stop()
		close(done)
	}
}

// forwarder is what forward works with.
type forwarder struct {
	engine  *api.Client
	path    string
	signals chan os.Signal
	names   console.Signals // of those that are listened to
	early   []string        // names of those that came before the program ran
}

// run listens and passes on until done. The third request to end is taken as meant for the command line itself, whatever
// the program and the engine are doing.
func (f *forwarder) run(ctx context.Context, started, done <-chan struct{}, giveUp func()) {
	requests := console.Requests()
	f.listen(requests)
	f.listen(console.Others())
	for asked := 0; ; {
		select {
		case <-done:
			return
		case <-started:
			started = nil
			go f.send(ctx, f.early...) // an engine that does not answer must not keep requests from being counted
		case sig := <-f.signals:
			if requests[sig] != "" {
				asked++
			}
			if asked == 3 {
				giveUp()
			}
			if started != nil {
				f.early = append(f.early, f.names[sig])
			} else {
				go f.send(ctx, f.names[sig])
			}
		}
	}
}

func (f *forwarder) listen(to console.Signals) {
	for sig, name := range to {
		f.names[sig] = name
		signal.Notify(f.signals, sig)
	}
}

func (f *forwarder) send(ctx context.Context, names ...string) {
	for _, name := range names {
		// The program may end at the same moment; its exit status is what will be reported.
		_ = f.engine.Call(ctx, "POST", f.path, url.Values{"signal": {name}}, nil)
	}
}

// giveUp ends the command line and leaves the container alone.
func (s *session) giveUp(id string) {
	s.terminal.Restore()
	s.app.say("asked to end three times; the container goes on. Next: brig kill %s", short(id))
	os.Exit(130)
}

// awaitRemoval gives the engine a moment to remove a container that could not be started, so that its name is free
// again when the command ends.
func (s *session) awaitRemoval(w *watcher, until engineapi.WaitCondition) {
	if until != engineapi.WaitConditionRemoved {
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
	code   int
	oom    bool   // the kernel ended a process of the container for its use of memory
	reason string // which limit that was, if the engine says so
	err    error
}

func watch(ctx context.Context, engine *api.Client, path string, until engineapi.WaitCondition) *watcher {
	w := &watcher{ready: make(chan error, 1), result: make(chan waited, 1)}
	go func() {
		q := url.Values{}
		if until != engineapi.WaitConditionNotRunning { // the default
			q.Set("condition", string(until))
		}
		res, err := engine.Do(ctx, api.Request{Method: "POST", Path: path + "/wait", Query: q})
		w.ready <- err
		if err != nil {
			w.result <- waited{err: err}
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		w.result <- parseEnd(text, err)
	}()
	return w
}

// parseEnd reads the engine's answer about the end of a program, if it came.
func parseEnd(text []byte, err error) waited {
	var body struct {
		engineapi.WaitResponse
		OOMKilled bool
		OOMReason string
	}
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		return waited{err: fmt.Errorf("lost the engine while the container was running: %w", err)}
	}
	if body.Error != nil && body.Error.Message != "" {
		return waited{err: errors.New(body.Error.Message)}
	}
	return waited{code: int(body.StatusCode), oom: body.OOMKilled, reason: body.OOMReason}
}

func (w *watcher) exit() (int, error) {
	r := <-w.result
	return r.code, r.err
}
