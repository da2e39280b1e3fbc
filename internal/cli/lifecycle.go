package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// act sends one bodyless request per container, all at once, and prints the names that it worked for.
func (a *App) act(ctx context.Context, names []string, verb string, query url.Values) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	return a.together(names, func(name string) error {
		return engine.Call(ctx, "POST", "/containers/"+url.PathEscape(name)+verb, query, nil)
	})
}

func newStop(a *App) *cobra.Command { return newEnding(a, "stop", "Stop running containers") }
func newRestart(a *App) *cobra.Command {
	return newEnding(a, "restart", "Stop containers and start them again")
}

func newEnding(a *App, verb, short string) *cobra.Command {
	var signal string
	var seconds int
	cmd := &cobra.Command{
		Use: verb + " [OPTIONS] CONTAINER [CONTAINER...]", Short: short,
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			setQuery(q, "signal", signal)
			if cmd.Flags().Changed("timeout") {
				q.Set("t", strconv.Itoa(seconds))
			}
			return a.act(cmd.Context(), args, "/"+verb, q)
		},
	}
	cmd.Flags().StringVarP(&signal, "signal", "s", "", "Signal to send first")
	cmd.Flags().IntVarP(&seconds, "timeout", "t", 10, "Seconds to wait before SIGKILL (-1 waits for ever)")
	cmd.Flags().SetNormalizeFunc(timeIsTimeout)
	return cmd
}

// timeIsTimeout knows the older spelling of the option.
func timeIsTimeout(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "time" {
		name = "timeout"
	}
	return pflag.NormalizedName(name)
}

func newKill(a *App) *cobra.Command {
	var signal string
	cmd := &cobra.Command{
		Use: "kill [OPTIONS] CONTAINER [CONTAINER...]", Short: "Send a signal to containers",
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			setQuery(q, "signal", signal)
			return a.act(cmd.Context(), args, "/kill", q)
		},
	}
	cmd.Flags().StringVarP(&signal, "signal", "s", "", "Signal to send (default SIGKILL)")
	return cmd
}

func newRemove(a *App) *cobra.Command {
	var force, volumes, link bool
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] CONTAINER [CONTAINER...]", Short: "Remove containers",
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{}
			setFlag(q, "force", force)
			setFlag(q, "v", volumes)
			setFlag(q, "link", link)
			engine, err := a.engine()
			if err != nil {
				return err
			}
			return a.together(args, func(name string) error {
				err := engine.Call(cmd.Context(), "DELETE", "/containers/"+url.PathEscape(name), q, nil)
				if force && api.IsStatus(err, 404) {
					return nil
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Kill what runs, and do not mind what is not there")
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "Remove its unnamed volumes too")
	cmd.Flags().BoolVarP(&link, "link", "l", false, "Remove the link of that name instead")
	return cmd
}

func newRename(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "rename CONTAINER NEW_NAME", Short: "Give a container another name",
		Args: words(2, 2), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			q := url.Values{"name": {args[1]}}
			return engine.Call(cmd.Context(), "POST", "/containers/"+url.PathEscape(args[0])+"/rename", q, nil)
		},
	}
}

func newWait(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "wait CONTAINER [CONTAINER...]", Short: "Wait until containers end, and print their exit statuses",
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			failed := false
			for _, name := range args {
				path := "/containers/" + url.PathEscape(name)
				code, err := watch(cmd.Context(), engine, path, engineapi.WaitConditionNotRunning).exit()
				if err != nil {
					a.complain(err)
					failed = true
					continue
				}
				fmt.Fprintln(a.Out, code)
			}
			if failed {
				return &exitError{code: 1}
			}
			return nil
		},
	}
}

func newLogs(a *App) *cobra.Command {
	var follow, timestamps, details bool
	var since, until, tail string
	cmd := &cobra.Command{
		Use: "logs [OPTIONS] CONTAINER", Short: "Print what a container has written",
		Args: words(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"stdout": {"1"}, "stderr": {"1"}}
			setFlag(q, "follow", follow)
			setFlag(q, "timestamps", timestamps)
			setFlag(q, "details", details)
			setQuery(q, "tail", tail)
			for name, value := range map[string]string{"since": since, "until": until} {
				at, err := timestamp(value, a.Now())
				if err != nil {
					return fmt.Errorf("--%s %q: %w", name, value, err)
				}
				setQuery(q, name, at)
			}
			return a.logs(cmd.Context(), args[0], q)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "Go on printing until the container ends")
	cmd.Flags().BoolVarP(&timestamps, "timestamps", "t", false, "Print when each line was written")
	cmd.Flags().BoolVar(&details, "details", false, "Print what the log driver noted about each line")
	cmd.Flags().StringVar(&since, "since", "", "Only what is newer (2026-01-02T15:04:05Z, or 42m for 42 minutes ago)")
	cmd.Flags().StringVar(&until, "until", "", "Only what is older")
	cmd.Flags().StringVarP(&tail, "tail", "n", "all", "Only that many of the last lines")
	return cmd
}

func (a *App) logs(ctx context.Context, name string, q url.Values) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	path := "/containers/" + url.PathEscape(name)
	res, err := engine.Do(ctx, api.Request{Method: "GET", Path: path + "/logs", Query: q})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.Header["content-type"] == "application/vnd.docker.raw-stream" {
		_, err := io.Copy(a.Out, res.Body)
		return err
	}
	return api.Demux(a.Out, a.Err, res.Body)
}
