package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/request"
	"github.com/brig-engine/brig/internal/cli/show"
)

// newExplain takes the name of a container, or a whole command line, as it would be run.
func newExplain(a *App) *cobra.Command {
	var format string
	var all bool
	cmd := &cobra.Command{
		Use: "explain CONTAINER | run [OPTIONS] IMAGE …", Short: "Say how a container is confined, call by call, or as the kernel sees it",
		Long: "Of a command line (brig explain run …): print every system call of the container's birth, with its reason and the\n" +
			"attacks that it answers. Nothing is made.\n\n" +
			"Of a running container: print what the kernel says of its process 1 beside what was asked for. The exit status is 1\n" +
			"if it is less confined than that.",
		Args: words(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var v confinement
			if err := engine.Call(cmd.Context(), "GET", "/brig/explain/"+url.PathEscape(args[0]), nil, &v); err != nil {
				return err
			}
			if format != "" {
				err = show.One(a.document(), format, v)
			} else {
				err = v.print(show.Plain(a.Out), all)
			}
			if err == nil && v.Differs {
				err = &exitError{1, fmt.Errorf("container %s is less confined than was asked for. Next: brig rm -f %s, and report it", v.Name, v.Name)}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "Format: json, or a template")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Print every mount as well")
	cmd.AddCommand(newExplainOf(a, "run"), newExplainOf(a, "create"))
	return cmd
}

func newExplainOf(a *App, verb string) *cobra.Command {
	return newOfCreation(a, verb, "Print what brig "+verb+" would execute, call by call", func(cmd *cobra.Command, engine *api.Client, c *request.Create, format string) error {
		asked := createRequest("/brig/explain", c)
		if format == "" {
			asked.Query.Set("format", "text")
			res, err := engine.Do(cmd.Context(), asked)
			if err != nil {
				return withCode(engineFailed, err)
			}
			defer res.Body.Close()
			_, err = io.Copy(show.Plain(a.Out), res.Body)
			return err
		}
		var v plan
		if err := engine.CallRequest(cmd.Context(), asked, &v); err != nil {
			return withCode(engineFailed, err)
		}
		return show.One(a.document(), format, v)
	})
}

// plan is the answer of POST /brig/explain.
type plan struct {
	Title string
	Steps []struct {
		Stage       string   `json:",omitempty"`
		Label       string   `json:",omitempty"`
		First, Last int      `json:",omitempty"`
		Call        string   `json:",omitempty"`
		Why         string   `json:",omitempty"`
		Answers     []string `json:",omitempty"`
	}
}

// confinement is the answer of GET /brig/explain/CONTAINER.
type confinement struct {
	Name     string
	Differs  bool
	Findings []struct {
		What, Asked, Found string
		Differs            bool
		Answers            []string `json:",omitempty"`
	}
}

// print leaves mounts out that are as asked for, unless all of it is wanted.
func (v *confinement) print(w io.Writer, all bool) error {
	if len(v.Findings) == 0 {
		return errors.New("the engine has said nothing")
	}
	mounts := 0
	for _, f := range v.Findings {
		state := "ok      "
		switch {
		case f.Differs:
			state = "DIFFERS "
		case strings.HasPrefix(f.What, "mount on ") && !all:
			mounts++
			continue
		}
		fmt.Fprintf(w, "%s %-34s %s (asked: %s) [%s]\n", state, f.What, f.Found, f.Asked, strings.Join(f.Answers, " "))
	}
	if mounts > 0 {
		fmt.Fprintf(w, "ok       %-34s each as asked for; --all prints them [A3]\n", fmt.Sprintf("mounts (%d)", mounts))
	}
	return nil
}
