package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/show"
)

// DefaultHost is the address of the engine of this machine.
const DefaultHost = "unix:///run/brig/brig.sock"

// App is one invocation of the command line. The zero value of every field but Version has a default.
type App struct {
	Version string
	In      io.Reader // default os.Stdin
	Out     io.Writer // default os.Stdout
	Err     io.Writer // default os.Stderr
	// Getenv reads the environment; default os.Getenv.
	Getenv func(string) string
	// Now is the time that ages are counted from; default time.Now.
	Now func() time.Time

	host   string // of --host
	client *api.Client
}

// exitError carries an exit status. Without err nothing is printed: it was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// withCode gives err an exit status, unless it has one.
func withCode(code int, err error) error {
	var has *exitError
	if err == nil || errors.As(err, &has) {
		return err
	}
	return &exitError{code, err}
}

// engineFailed is the exit status of run, create and start for what went wrong before the program ran.
const engineFailed = 125

// Run executes a command line, without the name of the program, and returns the exit status.
func (a *App) Run(ctx context.Context, args []string) int {
	a.defaults()
	root := newRoot(a, args)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && !errors.As(err, &exit) {
		// On its way to the command that is named, cobra passes by the function that is set for this.
		err = &exitError{engineFailed, withHint(root, err)}
	}
	code := 1
	if errors.As(err, &exit) {
		code, err = exit.code, exit.err
	}
	if err != nil {
		a.complain(err)
	}
	return code
}

func (a *App) defaults() {
	if a.In == nil {
		a.In = os.Stdin
	}
	if a.Out == nil {
		a.Out = os.Stdout
	}
	if a.Err == nil {
		a.Err = os.Stderr
	}
	if a.Getenv == nil {
		a.Getenv = os.Getenv
	}
	if a.Now == nil {
		a.Now = time.Now
	}
}

// complain prints an error. The engine's sentences are passed on as they are, except for control characters.
func (a *App) complain(err error) {
	a.say("%s", describe(err))
}

// say prints one message to the person, apart from the output of the command.
func (a *App) say(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Fprintf(a.Err, "brig: %s\n", show.Clean(text, true))
}

// describe adds the next step to errors that are the same for every command.
func describe(err error) string {
	var un *api.Unreachable
	if !errors.As(err, &un) {
		return err.Error()
	}
	text := un.Error() + "."
	switch {
	case errors.Is(un.Err, os.ErrPermission):
		return text + " The socket belongs to root. Next: repeat the command with sudo."
	case un.Host == DefaultHost:
		return text + " Next: sudo brig engine start"
	}
	return text + " Next: check the address (--host, BRIG_HOST), or start an engine there (brig engine start --help)"
}

// hostAddress is the engine that the command line talks to: --host, BRIG_HOST, the default.
func (a *App) hostAddress() string {
	if a.host != "" {
		return a.host
	}
	if h := a.Getenv("BRIG_HOST"); h != "" {
		return h
	}
	return DefaultHost
}

// engine returns the client, which starts an engine if root asks for the default one and none runs.
func (a *App) engine() (*api.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	host := a.hostAddress()
	var start func() error
	if host == DefaultHost && os.Geteuid() == 0 {
		start = func() error { return a.autostart(host) }
	}
	return a.connectTo(host, start)
}

// do sends a request to the engine. The caller closes the body of the reply.
func (a *App) do(ctx context.Context, req api.Request) (*api.Response, error) {
	engine, err := a.engine()
	if err != nil {
		return nil, err
	}
	return engine.Do(ctx, req)
}

// running returns a client for commands that look at an engine and must not start one.
func (a *App) running() (*api.Client, error) { return a.connectTo(a.hostAddress(), nil) }

func (a *App) connectTo(host string, start func() error) (*api.Client, error) {
	c, err := api.New(host, start)
	if err == nil {
		a.client = c
	}
	return c, err
}

// terminalWidth is the width for progress bars on the error output, 0 if that is no terminal.
func (a *App) terminalWidth(w io.Writer) int {
	_, cols, ok := console.Of(w).Size()
	if !ok {
		return 0
	}
	return int(cols)
}

// document is where --format prints: as it is for programs, and plain text on a terminal, whatever a template takes from an image.
func (a *App) document() io.Writer {
	if console.Of(a.Out).Is() {
		return show.Plain(a.Out)
	}
	return a.Out
}

// each runs do for every name and prints the name after it succeeded. One failure does not stop the others.
func (a *App) each(names []string, do func(name string) error) error {
	failed := false
	for _, name := range names {
		if err := do(name); err != nil {
			a.complain(err)
			failed = true
			continue
		}
		fmt.Fprintln(a.Out, name)
	}
	if failed {
		return &exitError{code: 1}
	}
	return nil
}

// atOnce is how many requests together has under way, as docker has.
const atOnce = 50

// together is each with all names under way at once: containers that take their time to end take it side by side. The
// order of what is printed is that of the names.
func (a *App) together(names []string, do func(name string) error) error {
	if len(names) < 2 {
		return a.each(names, do)
	}
	results := make([]chan error, len(names))
	for i := range results {
		results[i] = make(chan error, 1)
	}
	go func() {
		places := make(chan struct{}, atOnce)
		for i, name := range names {
			places <- struct{}{}
			go func() {
				results[i] <- do(name)
				<-places
			}()
		}
	}()
	next := 0
	return a.each(names, func(string) error {
		next++
		return <-results[next-1]
	})
}
