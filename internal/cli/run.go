package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/request"
)

// creation holds what run and create have in common.
type creation struct {
	*request.Options
	pull  string
	quiet bool
}

func (f *creation) bind(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	fs.Bool("help", false, "Print this help")
	f.Options = request.Bind(fs)
	fs.StringVar(&f.pull, "pull", "missing", "When to pull the image (always|missing|never)")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "Do not print the progress of a pull")
}

func (f *creation) build(args []string) (*request.Create, error) {
	if f.pull != "always" && f.pull != "missing" && f.pull != "never" {
		return nil, fmt.Errorf("--pull %q: always, missing or never", f.pull)
	}
	return f.Build(args)
}

func newCreate(a *App) *cobra.Command {
	var f creation
	cmd := &cobra.Command{
		Use: "create [OPTIONS] IMAGE [COMMAND] [ARG...]", Short: "Make a container without starting it",
		Args: words(1, -1), ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.build(args)
			if err != nil {
				return &exitError{engineFailed, withHint(cmd, err)}
			}
			id, _, err := a.create(cmd.Context(), c, &f, nil)
			if err != nil {
				return withCode(engineFailed, err)
			}
			fmt.Fprintln(a.Out, id)
			return nil
		},
	}
	f.bind(cmd)
	return cmd
}

func newRun(a *App) *cobra.Command {
	var f creation
	var o attachedOptions
	cmd := &cobra.Command{
		Use: "run [OPTIONS] IMAGE [COMMAND] [ARG...]", Short: "Make a container and run a program in it",
		Args: words(1, -1), ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.build(args)
			if err != nil {
				return &exitError{engineFailed, withHint(cmd, err)}
			}
			if o.detach {
				return withCode(engineFailed, a.runDetached(cmd.Context(), c, &f))
			}
			s := &session{app: a, config: c.Body.Config, proxy: o.sigProxy}
			if s.keys, err = console.ParseKeys(o.keys); err != nil {
				return &exitError{engineFailed, fmt.Errorf("--detach-keys %q: %w", o.keys, err)}
			}
			return withCode(engineFailed, a.runAttached(cmd.Context(), c, &f, s))
		},
	}
	f.bind(cmd)
	o.bind(cmd)
	return cmd
}

// attachedOptions are what run has and create has not.
type attachedOptions struct {
	detach, sigProxy bool
	keys             string
}

func (o *attachedOptions) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.detach, "detach", "d", false, "Run in the background and print the container's id")
	cmd.Flags().BoolVar(&o.sigProxy, "sig-proxy", true, "Pass signals on to the program")
	bindDetachKeys(cmd, &o.keys)
}

func (a *App) runDetached(ctx context.Context, c *request.Create, f *creation) error {
	if err := detached(c, f); err != nil {
		return err
	}
	id, _, err := a.create(ctx, c, f, nil)
	if err != nil {
		return err
	}
	if err := a.startNew(ctx, id); err != nil {
		return err
	}
	fmt.Fprintln(a.Out, id)
	return nil
}

// detached has a container be made for the background.
func detached(c *request.Create, f *creation) error {
	if f.AttachedTo() {
		return errors.New("--attach and --detach exclude each other")
	}
	config := c.Body.Config
	config.AttachStdin, config.AttachStdout, config.AttachStderr, config.StdinOnce = false, false, false, false
	return nil
}

// runAttached makes, attaches, waits and starts, in this order: output and the exit status of a program that ends at
// once must not be missed. Without a terminal all four are one request, of an engine that knows it. Otherwise the wait
// goes over a second connection while the first becomes the stream.
func (a *App) runAttached(ctx context.Context, c *request.Create, f *creation, s *session) error {
	if err := s.checkTerminal(); err != nil {
		return err
	}
	if rows, cols, ok := console.Of(a.Out).Size(); ok && s.config.Tty {
		c.Body.HostConfig.ConsoleSize = [2]uint{rows, cols}
	}
	condition := engineapi.WaitConditionNextExit
	if c.Body.HostConfig.AutoRemove {
		condition = engineapi.WaitConditionRemoved
	}
	run := &running{query: s.attachQuery(), until: condition}
	if s.config.Tty || c.CIDFile != "" { // the id is in its file before the program runs
		run = nil
	}
	id, stream, err := a.create(ctx, c, f, run)
	refused := func(err error) error { return a.takeBack(ctx, id, startRefused(err)) }
	if err != nil && id != "" {
		return refused(err)
	}
	if err != nil {
		return err
	}
	return s.run(ctx, id, condition, &beginning{
		start:   func() error { return a.startNew(ctx, id) },
		refused: refused,
		stream:  stream,
	})
}

// running is what is asked for with the creation of a container: to attach, to wait and to start.
type running struct {
	query url.Values // of the request to attach
	until engineapi.WaitCondition
}

// create makes the container, and pulls its image if that is asked for or needed. With run, an error with an id is that
// of the start, and stream is nil if the engine has only created.
func (a *App) create(ctx context.Context, c *request.Create, f *creation, run *running) (
	id string, stream *api.Stream, err error) {
	engine, err := a.engine()
	if err != nil {
		return "", nil, err
	}
	cid, err := openCIDFile(c.CIDFile)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, cid.finish(id)) }()
	image := c.Body.Config.Image
	if f.pull == "always" {
		if err := a.pullForRun(ctx, image, c.Platform, f.quiet); err != nil {
			return "", nil, err
		}
	}
	made, stream, err := createOnce(ctx, engine, c, run)
	if f.pull == "missing" && made.ID == "" && api.IsStatus(err, 404) &&
		strings.Contains(strings.ToLower(err.Error()), "image") {
		a.say("image %s is not here; pulling it", image)
		if err := a.pullForRun(ctx, image, c.Platform, f.quiet); err != nil {
			return "", nil, err
		}
		made, stream, err = createOnce(ctx, engine, c, run)
	}
	for _, w := range made.Warnings {
		a.say("warning: %s", w)
	}
	return made.ID, stream, err
}

func createOnce(ctx context.Context, engine *api.Client, c *request.Create, run *running) (
	made engineapi.CreateResponse, stream *api.Stream, err error) {
	req := createRequest("/containers/create", c)
	if run == nil {
		err = engine.CallRequest(ctx, req, &made)
		return made, nil, err
	}
	maps.Copy(req.Query, run.query)
	req.Header = map[string]string{api.RunHeader: string(run.until)}
	stream, err = engine.CreateRun(ctx, req, &made)
	return made, stream, err
}

// createRequest is what says everything about a container that is to be made.
func createRequest(path string, c *request.Create) api.Request {
	query := url.Values{}
	setQuery(query, "name", c.Name)
	setQuery(query, "platform", c.Platform)
	return api.Request{Method: "POST", Path: path, Query: query, JSON: c.Body}
}

func setQuery(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}

func setFlag(q url.Values, key string, on bool) {
	if on {
		q.Set(key, "1")
	}
}

// takeBackPatience is how long run waits for the removal of a container that could not be started.
const takeBackPatience = 5 * time.Second

// startNew starts a container that was made for this. One that cannot be started is taken back with its anonymous
// volumes: nobody has seen its id.
func (a *App) startNew(ctx context.Context, id string) error {
	if err := a.startContainer(ctx, id); err != nil {
		return a.takeBack(ctx, id, err)
	}
	return nil
}

// takeBack removes a container that could not be started, and gives the reason on.
func (a *App) takeBack(ctx context.Context, id string, err error) error {
	engine, failed := a.engine()
	if failed == nil {
		// An engine that does not answer any more must not keep the error from being said.
		ctx, cancel := context.WithTimeout(ctx, takeBackPatience)
		defer cancel()
		failed = engine.Call(ctx, "DELETE", "/containers/"+url.PathEscape(id), url.Values{"v": {"1"}}, nil)
	}
	if failed != nil && !api.IsStatus(failed, 404) && !api.IsStatus(failed, 409) { // --rm removes it as well
		a.say("the container stays behind: %v. Next: brig rm -v %s", failed, short(id))
	}
	return err
}

func (a *App) startContainer(ctx context.Context, id string) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	if err := engine.Call(ctx, "POST", "/containers/"+url.PathEscape(id)+"/start", nil, nil); err != nil {
		return startRefused(err)
	}
	return nil
}

func startRefused(err error) error { return &exitError{startCode(err), err} }

// startCode is 127 when the program was not found, 126 when it could not be executed, 125 for everything else. The
// engine says which in words, as Docker's does, and those are looked at here as Docker's command line does.
func startCode(err error) int {
	text := strings.ToLower(err.Error())
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("executable file not found", "no such file or directory"):
		return 127
	case has("permission denied", "is a directory", "exec format error", "not executable"):
		return 126
	}
	return engineFailed
}

// cidFile receives the id of a new container. It must be new itself, so that two containers never share one.
type cidFile struct{ f *os.File }

func openCIDFile(path string) (*cidFile, error) {
	if path == "" {
		return &cidFile{}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("--cidfile %s: the file exists. Next: remove it if its container is gone", path)
	}
	if err != nil {
		return nil, fmt.Errorf("--cidfile: %w", err)
	}
	return &cidFile{f}, nil
}

// finish writes the id, or without one removes the file.
func (c *cidFile) finish(id string) error {
	if c.f == nil {
		return nil
	}
	if id == "" {
		c.f.Close()
		return os.Remove(c.f.Name())
	}
	_, err := c.f.WriteString(id)
	return errors.Join(err, c.f.Close())
}
