package cli

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/request"
)

func newPause(a *App) *cobra.Command {
	return newStanding(a, "pause", "Have all processes of containers stand still")
}

func newUnpause(a *App) *cobra.Command {
	return newStanding(a, "unpause", "Let the processes of paused containers go on")
}

func newStanding(a *App, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " CONTAINER [CONTAINER...]", Short: short,
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.act(cmd.Context(), args, "/"+verb, nil) },
	}
}

func newUpdate(a *App) *cobra.Command {
	var u *request.Update
	cmd := &cobra.Command{
		Use: "update [OPTIONS] CONTAINER [CONTAINER...]", Short: "Change the limits and the restart policy of containers",
		Long: "Change the limits of containers, at once for those that run. Limits that are not named stay.",
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := u.Build()
			if err != nil {
				return withHint(cmd, err)
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			return a.each(args, func(name string) error {
				var reply engineapi.UpdateResponse
				path := "/containers/" + url.PathEscape(name) + "/update"
				err := engine.CallRequest(cmd.Context(), api.Request{Method: "POST", Path: path, JSON: change}, &reply)
				for _, w := range reply.Warnings {
					a.say("warning: %s", w)
				}
				return err
			})
		},
	}
	u = request.BindUpdate(cmd.Flags())
	return cmd
}
