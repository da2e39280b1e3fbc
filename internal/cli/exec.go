package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/moby/moby/api/types/common"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/request"
)

func newExec(a *App) *cobra.Command {
	var spec engineapi.ExecCreateRequest
	var detach bool
	var keys string
	var env, envFiles []string
	cmd := &cobra.Command{
		Use: "exec [OPTIONS] CONTAINER COMMAND [ARG...]", Short: "Run another program in a running container",
		Args: words(2, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			detachKeys, err := console.ParseKeys(keys)
			if err != nil {
				return &exitError{engineFailed, fmt.Errorf("--detach-keys %q: %w", keys, err)}
			}
			if spec.Env, err = request.Environment(envFiles, env); err != nil {
				return &exitError{engineFailed, withHint(cmd, err)}
			}
			spec.Cmd, spec.DetachKeys = args[1:], keys
			if detach {
				spec.AttachStdin = false
				return a.execDetached(cmd.Context(), args[0], spec)
			}
			spec.AttachStdout, spec.AttachStderr = true, true
			s := &session{app: a, keys: detachKeys, config: &engineapi.Config{
				Tty: spec.Tty, AttachStdin: spec.AttachStdin, AttachStdout: true, AttachStderr: true,
			}}
			return a.execAttached(cmd.Context(), args[0], spec, s)
		},
	}
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	fs.BoolVarP(&spec.AttachStdin, "interactive", "i", false, "Keep standard input open")
	fs.BoolVarP(&spec.Tty, "tty", "t", false, "Give the program a terminal")
	fs.BoolVarP(&detach, "detach", "d", false, "Run in the background")
	fs.StringArrayVarP(&env, "env", "e", nil, "Set an environment variable (NAME=value; NAME takes the caller's value)")
	fs.StringArrayVar(&envFiles, "env-file", nil, "Read environment variables from a file")
	fs.StringVarP(&spec.User, "user", "u", "", "User, and group, to run as (name|uid[:group|gid])")
	fs.StringVarP(&spec.WorkingDir, "workdir", "w", "", "Working directory inside the container")
	fs.BoolVar(&spec.Privileged, "privileged", false, "Ask for all privileges (refused)")
	bindDetachKeys(cmd, &keys)
	return cmd
}

// execCreate returns the path of the new exec, and, if run is asked for and the engine knows it, what it writes.
func (a *App) execCreate(ctx context.Context, name string, spec engineapi.ExecCreateRequest, run string) (
	engine *api.Client, path string, stream *api.Stream, err error) {
	if engine, err = a.engine(); err != nil {
		return nil, "", nil, err
	}
	var made common.IDResponse
	req := api.Request{Method: "POST", Path: "/containers/" + url.PathEscape(name) + "/exec", JSON: spec}
	if run == "" {
		err = engine.CallRequest(ctx, req, &made)
	} else {
		req.Header = map[string]string{api.RunHeader: run}
		stream, err = engine.CreateRun(ctx, req, &made)
	}
	return engine, "/exec/" + url.PathEscape(made.ID), stream, err
}

// execStart starts an exec, and makes it if path is empty. An engine that was killed in between does not know it any
// more: nothing has run then, and both are tried once more.
func (a *App) execStart(
	ctx context.Context, name string, spec engineapi.ExecCreateRequest, path string,
	start func(engine *api.Client, path string) error,
) (engine *api.Client, _ string, err error) {
	if engine, err = a.engine(); err != nil {
		return nil, "", err
	}
	for try := 0; ; try++ {
		if path == "" {
			if _, path, _, err = a.execCreate(ctx, name, spec, ""); err != nil {
				return nil, "", err
			}
		}
		if err = start(engine, path); try > 0 || !api.IsStatus(err, 404) {
			return engine, path, execFailed(err)
		}
		path = ""
	}
}

func (a *App) execDetached(ctx context.Context, name string, spec engineapi.ExecCreateRequest) error {
	request := engineapi.ExecStartRequest{Detach: true, Tty: spec.Tty}
	_, _, err := a.execStart(ctx, name, spec, "", func(engine *api.Client, path string) error {
		return engine.CallRequest(ctx, api.Request{Method: "POST", Path: path + "/start", JSON: request}, nil)
	})
	return err
}

func (a *App) execAttached(ctx context.Context, name string, spec engineapi.ExecCreateRequest, s *session) error {
	if err := s.checkTerminal(); err != nil {
		return err
	}
	if rows, cols, ok := console.Of(a.Out).Size(); ok && spec.Tty {
		spec.ConsoleSize = &[2]uint{rows, cols}
	}
	engine, path, stream, err := a.execOpen(ctx, name, spec)
	if err != nil {
		return err
	}
	defer stream.Close()
	s.terminal = s.own()
	var result []byte
	pump, restore, err := s.pump(stream, &result, true)
	if err != nil {
		return err
	}
	defer restore()
	defer s.followSize(ctx, engine, path)()
	if err := pump(); errors.Is(err, console.ErrDetached) {
		restore()
		a.say("detached; the program goes on in container %s", short(name))
		return nil
	} else if err != nil {
		return err
	}
	code, err := execEnd(ctx, engine, path, stream.Started, result)
	if err == nil && code != 0 {
		err = &exitError{code: code}
	}
	return err
}

// execOpen makes an exec and starts it: without a terminal by one request, if the engine knows it.
func (a *App) execOpen(ctx context.Context, name string, spec engineapi.ExecCreateRequest) (
	engine *api.Client, path string, stream *api.Stream, err error) {
	if !spec.Tty {
		if engine, path, stream, err = a.execCreate(ctx, name, spec, "exec"); err != nil || stream != nil {
			return engine, path, stream, err
		}
	}
	request := engineapi.ExecStartRequest{Tty: spec.Tty, ConsoleSize: spec.ConsoleSize}
	engine, path, err = a.execStart(ctx, name, spec, path, func(engine *api.Client, path string) (err error) {
		stream, err = engine.Upgrade(ctx, api.Request{Method: "POST", Path: path + "/start", JSON: request})
		return err
	})
	return engine, path, stream, err
}

// execEnd is the exit status of a program that has ended: the end of its stream, or an answer of its own.
func execEnd(ctx context.Context, engine *api.Client, path string, told bool, result []byte) (int, error) {
	if told {
		end := parseEnd(result, nil)
		return end.code, end.err
	}
	var end engineapi.ExecInspectResponse
	if err := engine.Call(ctx, "GET", path+"/json", nil, &end); err != nil || end.ExitCode == nil {
		return 0, err
	}
	return *end.ExitCode, nil
}

// execFailed gives a program that could not be started the exit status that a shell would give it.
func execFailed(err error) error {
	if err == nil {
		return nil
	}
	if code := startCode(err); code != engineFailed {
		return &exitError{code, err}
	}
	return err
}
