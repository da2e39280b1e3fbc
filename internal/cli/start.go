package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/engineapi"
)

func newStart(a *App) *cobra.Command {
	var attach, interactive, sigProxy bool
	var keys string
	cmd := &cobra.Command{
		Use: "start [OPTIONS] CONTAINER [CONTAINER...]", Short: "Start containers that were made or have ended",
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if !attach && !interactive {
				return a.each(args, func(name string) error { return a.startContainer(ctx, name) })
			}
			if len(args) > 1 {
				return errors.New("one container can be attached to at a time")
			}
			s, c, err := a.attachable(ctx, args[0], keys, sigProxy, interactive)
			if err != nil {
				return err
			}
			until := engineapi.WaitConditionNextExit
			if c.HostConfig != nil && c.HostConfig.AutoRemove {
				until = engineapi.WaitConditionRemoved
			}
			return s.run(ctx, c.ID, until, &beginning{
				start: func() error { return a.startContainer(ctx, c.ID) }, refused: startRefused,
			})
		},
	}
	cmd.Flags().BoolVarP(&attach, "attach", "a", false, "Attach to the output, and pass signals on")
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "Attach to the input too")
	cmd.Flags().BoolVar(&sigProxy, "sig-proxy", true, "Pass signals on to the program")
	bindDetachKeys(cmd, &keys)
	return cmd
}

func newAttach(a *App) *cobra.Command {
	var noStdin, sigProxy bool
	var keys string
	cmd := &cobra.Command{
		Use: "attach [OPTIONS] CONTAINER", Short: "Attach this terminal to a running container",
		Args: words(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, c, err := a.attachable(cmd.Context(), args[0], keys, sigProxy, !noStdin)
			if err != nil {
				return err
			}
			if c.State != nil && !c.State.Running {
				return fmt.Errorf("container %s is not running. Next: brig start -a %s", args[0], args[0])
			}
			return s.run(cmd.Context(), c.ID, engineapi.WaitConditionNotRunning, nil)
		},
	}
	cmd.Flags().BoolVar(&noStdin, "no-stdin", false, "Do not attach to the input")
	cmd.Flags().BoolVar(&sigProxy, "sig-proxy", true, "Pass signals on to the program")
	bindDetachKeys(cmd, &keys)
	return cmd
}

// attachable prepares a session with a container that exists: whether it has a terminal is in its configuration.
func (a *App) attachable(
	ctx context.Context, name, keys string, proxy, stdin bool,
) (*session, *engineapi.InspectResponse, error) {
	detach, err := console.ParseKeys(keys)
	if err != nil {
		return nil, nil, fmt.Errorf("--detach-keys %q: %w", keys, err)
	}
	engine, err := a.engine()
	if err != nil {
		return nil, nil, err
	}
	var c engineapi.InspectResponse
	if err := engine.Call(ctx, "GET", "/containers/"+url.PathEscape(name)+"/json", nil, &c); err != nil {
		return nil, nil, err
	}
	if c.Config == nil {
		return nil, nil, fmt.Errorf("container %s: the engine's reply has no configuration", name)
	}
	s := &session{app: a, keys: detach, proxy: proxy, config: &engineapi.Config{
		Tty: c.Config.Tty, AttachStdin: stdin && c.Config.OpenStdin, AttachStdout: true, AttachStderr: true,
	}}
	return s, &c, s.checkTerminal()
}
