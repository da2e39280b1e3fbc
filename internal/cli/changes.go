package cli

import (
	"fmt"
	"net/url"

	"github.com/moby/moby/api/types/common"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/show"
)

func newDiff(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "diff CONTAINER", Short: "Show what a container has changed (A added, C changed, D deleted)", Args: words(1, 1),
		ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var list []struct {
				Path string
				Kind int
			}
			if err := engine.Call(cmd.Context(), "GET", "/containers/"+url.PathEscape(args[0])+"/changes", nil, &list); err != nil {
				return err
			}
			for _, c := range list {
				if c.Kind < 0 || c.Kind > 2 {
					return fmt.Errorf("the engine tells of a change of kind %d", c.Kind)
				}
				fmt.Fprintf(a.Out, "%c %s\n", "CAD"[c.Kind], show.Clean(c.Path, false))
			}
			return nil
		},
	}
}

func newExport(a *App) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "export [OPTIONS] CONTAINER", Short: "Write a container's file system to an archive", Args: words(1, 1),
		ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := api.Request{Method: "GET", Path: "/containers/" + url.PathEscape(args[0]) + "/export"}
			return a.download(cmd.Context(), req, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "File to write instead of standard output")
	return cmd
}

func newCommit(a *App) *cobra.Command {
	var author, message string
	var changes []string
	var pause bool
	cmd := &cobra.Command{
		Use: "commit [OPTIONS] CONTAINER [NAME[:TAG]]", Short: "Make an image of a container", Args: words(1, 2),
		ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"container": {args[0]}, "changes": changes}
			if len(args) == 2 {
				repo, tag := cutTag(args[1])
				q.Set("repo", repo)
				setQuery(q, "tag", tag)
			}
			setQuery(q, "author", author)
			setQuery(q, "comment", message)
			if !pause {
				q.Set("pause", "0")
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var made common.IDResponse
			if err := engine.CallRequest(cmd.Context(), api.Request{Method: "POST", Path: "/commit", Query: q}, &made); err != nil {
				return err
			}
			fmt.Fprintln(a.Out, made.ID)
			return nil
		},
	}
	cmd.Flags().StringVarP(&author, "author", "a", "", "Author of the image")
	cmd.Flags().StringArrayVarP(&changes, "change", "c", nil, "Apply a Dockerfile instruction to the image")
	cmd.Flags().StringVarP(&message, "message", "m", "", "Comment of the image")
	cmd.Flags().BoolVarP(&pause, "pause", "p", true, "Have a container that runs stand still while it is read")
	return cmd
}
