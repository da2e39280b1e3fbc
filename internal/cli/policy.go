package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/request"
	"github.com/brig-engine/brig/internal/cli/show"
)

func newPolicyNoun(a *App) *cobra.Command {
	return noun(a, "policy", "What containers may be given", "apply", newPolicyCheck(a))
}

// newPolicyCheck takes a whole command line, as it would be run.
func newPolicyCheck(a *App) *cobra.Command {
	check := &cobra.Command{
		Use: "check COMMAND", Short: "Say what would be refused of a command line, without running it",
		Long: "Say what the engine would refuse of a command line, and what it would warn of, without running it. Nothing is\n" +
			"made, and no image is pulled. The exit status is 0 if nothing would be refused, and 1 otherwise.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%.64q is no command line that makes a container. Next: brig policy check run [OPTIONS] IMAGE", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	check.AddCommand(newCheckOf(a, "run"), newCheckOf(a, "create"))
	return check
}

func newCheckOf(a *App, verb string) *cobra.Command {
	return newOfCreation(a, verb, "Check a command line of brig "+verb, func(cmd *cobra.Command, engine *api.Client, c *request.Create, format string) error {
		var v verdict
		err := engine.CallRequest(cmd.Context(), createRequest("/brig/policy/check", c), &v)
		if err != nil {
			return withCode(engineFailed, err)
		}
		if format != "" {
			err = show.One(a.Out, format, v)
		} else {
			err = v.print(a.Out)
		}
		if err == nil && !v.Allowed {
			err = &exitError{code: 1}
		}
		return err
	})
}

// newOfCreation is a command that takes a command line of brig run or brig create, and does something else with it.
func newOfCreation(a *App, verb, short string, do func(cmd *cobra.Command, engine *api.Client, c *request.Create, format string) error) *cobra.Command {
	var f creation
	var attached attachedOptions
	var format string
	cmd := &cobra.Command{
		Use: verb + " [OPTIONS] IMAGE [COMMAND] [ARG...]", Short: short, Args: words(1, -1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.build(args)
			if err == nil {
				_, err = console.ParseKeys(attached.keys)
			}
			if err != nil {
				return &exitError{engineFailed, withHint(cmd, err)}
			}
			engine, err := a.engine()
			if err != nil {
				return err
			}
			return do(cmd, engine, c, format)
		},
	}
	f.bind(cmd)
	if verb == "run" {
		attached.bind(cmd)
	}
	cmd.Flags().StringVar(&format, "format", "", "Format: json, or a template")
	return plain(cmd)
}

// verdict is the answer to /brig/policy/check.
type verdict struct {
	Allowed  bool
	Refusals []refusal
	Warnings []string
}

type refusal struct {
	Option string
	Value  string `json:",omitempty"`
	Reason string
	Allow  string `json:",omitempty"`
	Status int
}

func (v *verdict) print(w io.Writer) error {
	if v.Allowed {
		fmt.Fprintln(w, "allowed: nothing of it would be refused")
	}
	for _, r := range v.Refusals {
		fmt.Fprintln(w, "refused:", r.line())
		if r.Allow != "" {
			fmt.Fprintln(w, "         "+r.Allow)
		}
	}
	for _, warning := range v.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	return nil
}

// line is the option as it was written, and why it is refused.
func (r *refusal) line() string {
	s := r.Option
	if r.Value != "" {
		s += " " + r.Value
	}
	return s + ": " + r.Reason
}
