package cli

import (
	"errors"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/request"
)

func newUpdate(a *App) *cobra.Command {
	var restart string
	cmd := &cobra.Command{
		Use: "update [OPTIONS] CONTAINER [CONTAINER...]", Short: "Change the restart policy of containers",
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("restart") {
				return errors.New("nothing to change. Next: brig update --restart POLICY CONTAINER")
			}
			policy, err := request.RestartPolicy(restart)
			if err != nil {
				return err
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			return a.each(args, func(name string) error {
				var reply engineapi.UpdateResponse
				req := api.Request{Method: "POST", Path: "/containers/" + url.PathEscape(name) + "/update",
					JSON: engineapi.UpdateRequest{RestartPolicy: policy}}
				if err := engine.CallRequest(cmd.Context(), req, &reply); err != nil {
					return err
				}
				for _, w := range reply.Warnings {
					a.say("warning: %s", w)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&restart, "restart", "", "Restart policy (no|on-failure[:N]|always|unless-stopped)")
	return cmd
}
