package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/launch"
	"github.com/brig-engine/brig/internal/cli/policyfile"
	"github.com/brig-engine/brig/internal/cli/request"
	"github.com/brig-engine/brig/internal/cli/show"
	"github.com/brig-engine/brig/internal/wire/rules"
)

func newPolicyNoun(a *App) *cobra.Command {
	return noun(a, "policy", "What containers may be given", "", newPolicyApply(a), newPolicyCheck(a), newPolicyShow(a))
}

// newPolicyApply writes what the engine checks by itself: of brigd, which may be conquered, it asks nothing.
func newPolicyApply(a *App) *cobra.Command {
	var p place
	var reset, try bool
	cmd := &cobra.Command{
		Use: "apply [OPTIONS] [FILE]", Short: "Put the administrator's policy in force", Args: words(0, 1),
		Long: "Compile a policy file (default " + policyfile.Source + ") and put it in force for the engine of this machine, for every\n" +
			"start of a container from then on. What runs goes on. Only root can, and no engine need run.",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := p.resolve(); err != nil {
				return err
			}
			if p.root == "" {
				p.root = cmp.Or(launch.Look(p.run).Root, launch.DefaultRoot)
			}
			if reset {
				if len(args) > 0 || try {
					return errors.New("--default takes the applied policy back: neither a file nor --dry-run goes with it")
				}
				if err := policyfile.Reset(p.root); err != nil {
					return forRoot(err)
				}
				fmt.Fprintln(a.Out, "policy: the default is in force")
				return nil
			}
			source := append(args, policyfile.Source)[0]
			b, err := policyfile.Read(source)
			if err != nil {
				return err
			}
			compiled, err := policyfile.Parse(b, accounts)
			if err != nil {
				return fmt.Errorf("%s:\n%w", source, err)
			}
			if try {
				policyfile.Print(show.Plain(a.Out), compiled)
				return nil
			}
			if err := policyfile.Apply(p.root, compiled); err != nil {
				return forRoot(err)
			}
			fmt.Fprintf(a.Out, "policy: %s is in force for every start from now on\n", source)
			return nil
		},
	}
	cmd.Flags().StringVar(&p.root, "root", "", "The engine's directory of what lives longer")
	cmd.Flags().StringVar(&p.run, "run", launch.DefaultRun, "The engine's directory of what lives until the machine stops")
	cmd.Flags().BoolVar(&reset, "default", false, "Take an applied policy back: root may relax, nobody else")
	cmd.Flags().BoolVar(&try, "dry-run", false, "Print what the file comes to, and apply nothing")
	return cmd
}

func forRoot(err error) error {
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w. Next: sudo brig policy apply", err)
	}
	return err
}

// accounts are the users and groups of this machine.
var accounts = policyfile.Lookup{
	User: func(name string) (uint32, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return 0, errors.New("there is no user of this name")
		}
		return accountID(u.Uid)
	},
	Group: func(name string) (uint32, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return 0, errors.New("there is no group of this name")
		}
		return accountID(g.Gid)
	},
	Program: policyfile.Program,
}

func accountID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

func newPolicyShow(a *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show [OPTIONS]", Short: "Print the policy in force", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var p rules.Policy
			if err := engine.Call(cmd.Context(), "GET", "/brig/policy", nil, &p); err != nil {
				return err
			}
			if format != "" {
				return show.One(a.document(), format, p)
			}
			policyfile.Print(show.Plain(a.Out), &p)
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "Format: json, or a template")
	return cmd
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
			err = show.One(a.document(), format, v)
		} else {
			err = v.print(show.Plain(a.Out))
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
			err := noneOf(cmd, ofTheDoing)
			var c *request.Create
			if err == nil {
				c, err = f.build(args)
			}
			if err == nil && attached.detach {
				err = detached(c, &f)
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
	for _, name := range ofTheDoing {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			flag.Hidden = true
		}
	}
	cmd.Flags().StringVar(&format, "format", "", "Format: json, or a template")
	return plain(cmd)
}

// ofTheDoing are the options of run and create that say what the command line does around the request, and nothing about
// the container.
var ofTheDoing = []string{"cidfile", "pull", "quiet", "sig-proxy", "detach-keys"}

// noneOf refuses options that mean nothing to a command.
func noneOf(cmd *cobra.Command, names []string) error {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s means nothing here: %s makes no container, pulls no image and attaches to nothing. Next: leave it out",
				name, cmd.CommandPath())
		}
	}
	return nil
}

// verdict is the answer to /brig/policy/check.
type verdict struct {
	Allowed  bool
	Level    string `json:",omitempty"` // in effect
	Refusals []refusal
	Granted  []grantedBy // what the administrator's policy gives of it
	Warnings []string
}

type grantedBy struct {
	Rule string
	Line int // of policy.toml; 0: no policy was applied
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
	if v.Level != "" {
		fmt.Fprintln(w, "level:  ", v.Level)
	}
	for _, g := range v.Granted {
		by := "to root, as no policy was applied"
		if g.Line > 0 {
			by = fmt.Sprintf("by the rule in line %d of policy.toml", g.Line)
		}
		fmt.Fprintf(w, "granted: %s, %s\n", g.Rule, by)
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
