package cli

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// completeContainers offers the names of containers to the shell. It starts no engine.
func (a *App) completeContainers(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var list []engineapi.ContainerSummary
	engine, err := a.running()
	if err != nil || engine.Call(cmd.Context(), "GET", "/containers/json", url.Values{"all": {"1"}}, &list) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range list {
		for _, n := range c.Names {
			names = append(names, strings.TrimPrefix(n, "/"))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeImages offers the names of images for the first word, and files after it.
func (a *App) completeImages(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var list []engineapi.ImageSummary
	engine, err := a.running()
	if err != nil || engine.Call(cmd.Context(), "GET", "/images/json", nil, &list) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, i := range list {
		names = append(names, i.RepoTags...)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
