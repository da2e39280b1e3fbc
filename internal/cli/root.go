package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// verb is a command that is not built before it is needed: a command line names one of seventy, and what the others
// would cost is part of the start of every container.
type verb struct {
	name  string
	group string // of the help text; "" for the second spellings below a noun
	build func(*App) *cobra.Command
}

// The groups of the help text.
const (
	groupRun    = "run"
	groupImage  = "image"
	groupStore  = "store"
	groupEngine = "engine"
)

func verbs() []verb {
	return []verb{
		{"run", groupRun, newRun}, {"create", groupRun, newCreate}, {"start", groupRun, newStart},
		{"stop", groupRun, newStop}, {"restart", groupRun, newRestart}, {"kill", groupRun, newKill},
		{"pause", groupRun, newPause}, {"unpause", groupRun, newUnpause}, {"update", groupRun, newUpdate},
		{"wait", groupRun, newWait}, {"rm", groupRun, newRemove}, {"exec", groupRun, newExec},
		{"attach", groupRun, newAttach}, {"logs", groupRun, newLogs}, {"ps", groupRun, newPs},
		{"top", groupRun, newTop}, {"stats", groupRun, newStats}, {"port", groupRun, newPort}, {"rename", groupRun, newRename},
		{"inspect", groupRun, newInspect}, {"cp", groupRun, newCopy}, {"diff", groupRun, newDiff},
		{"export", groupRun, newExport}, {"commit", groupRun, newCommit},
		{"pull", groupImage, newPull}, {"push", groupImage, newPush}, {"images", groupImage, newImages},
		{"tag", groupImage, newTag}, {"rmi", groupImage, newRmi}, {"history", groupImage, newHistory},
		{"load", groupImage, newLoad}, {"save", groupImage, newSave}, {"import", groupImage, newImport},
		{"container", groupStore, newContainerNoun}, {"image", groupStore, newImageNoun},
		{"volume", groupStore, newVolumeNoun}, {"network", groupStore, newNetworkNoun},
		{"system", groupStore, newSystemNoun},
		{"engine", groupEngine, newEngineNoun}, {"doctor", groupEngine, newDoctor}, {"drill", groupEngine, newDrill},
		{"policy", groupEngine, newPolicyNoun}, {"explain", groupEngine, newExplain}, {"tighten", groupEngine, newTighten},
		{"events", groupEngine, newEvents}, {"info", groupEngine, newInfo}, {"version", groupEngine, newVersion},
	}
}

// unbuilt are the commands that will exist: Brig's own nouns, a closed list, and Docker's. They are refused by name.
func unbuilt() []string {
	return []string{
		"audit", "trail", "trust", "secret",
		"build", "builder", "buildx", "compose", "config", "context",
		"login", "logout", "manifest", "node", "plugin", "search", "service", "stack", "swarm",
	}
}

func newRoot(a *App, args []string) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "brig [--host ADDRESS] COMMAND",
		Short: "Run programs in confined containers",
		Long: "Brig runs programs in containers that are confined by default, and answers to the docker\n" +
			"command line as well.",
		Args: func(_ *cobra.Command, args []string) error { return unknownCommand(args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				fmt.Fprintf(a.Out, "brig version %s\n", a.Version)
				return nil
			}
			return cmd.Help()
		},
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetUsageFunc(usage)
	root.SetHelpFunc(help)
	root.SetHelpCommandGroupID(groupEngine)
	root.SetCompletionCommandGroupID(groupEngine)
	root.DisableFlagsInUseLine = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if words := cmd.Flags().Args(); cmd == root && len(words) > 0 {
			return unknownCommand(words) // whose options nobody can know
		}
		return &exitError{engineFailed, withHint(cmd, err)}
	})
	root.Flags().StringVarP(&a.host, "host", "H", "", "Address of the engine (default $BRIG_HOST, or "+DefaultHost+")")
	root.Flags().BoolVarP(&version, "version", "v", false, "Print the version of this program")
	root.Flags().BoolP("help", "h", false, "Print this help")
	root.AddGroup(&cobra.Group{ID: groupRun, Title: "Containers:"}, &cobra.Group{ID: groupImage, Title: "Images:"},
		&cobra.Group{ID: groupStore, Title: "By noun:"}, &cobra.Group{ID: groupEngine, Title: "Engine:"})
	addVerbs(a, root, verbs(), args)
	root.CompletionOptions.DisableDefaultCmd = len(root.Commands()) == 1 // another one was named
	if word := firstWord(args); len(root.Commands()) > 1 || isUnbuilt(word) {
		for _, name := range unbuilt() {
			root.AddCommand(refuse(name))
		}
	}
	return root
}

// addVerbs adds the command that the first word names, or all of them if it names none (help, completion, a mistake).
func addVerbs(a *App, parent *cobra.Command, all []verb, args []string) {
	word := firstWord(args)
	for _, v := range all {
		if v.name == word {
			all = []verb{v}
			break
		}
	}
	for _, v := range all {
		cmd := v.build(a)
		cmd.GroupID = v.group
		parent.AddCommand(plain(cmd))
	}
}

// plain gives a command --help, without the shorthand that belongs to --hostname, and no "[flags]" in its usage line.
func plain(cmd *cobra.Command) *cobra.Command {
	if cmd.Flags().Lookup("help") == nil {
		cmd.Flags().Bool("help", false, "Print this help")
	}
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().SortFlags = true
	return cmd
}

// firstWord is the first argument that is neither an option of the root command nor its value.
func firstWord(args []string) string {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-H" || arg == "--host":
			i++
		case !strings.HasPrefix(arg, "-"):
			return arg
		}
	}
	return ""
}

func isUnbuilt(word string) bool {
	for _, name := range unbuilt() {
		if name == word {
			return true
		}
	}
	return false
}

func refuse(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.CommandPath() == "brig compose" {
				return errors.New("brig compose is not built yet. Next: docker compose, with this engine's address in DOCKER_HOST")
			}
			return fmt.Errorf("%s is not built yet. Next: %s --help lists what is", cmd.CommandPath(), cmd.Parent().CommandPath())
		},
	}
}

func unknownCommand(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is not a command.\nSee 'brig --help'", args[0])
}

// noun is a command that only groups others. unbuilt are those of Docker's that will exist, in one string.
func noun(a *App, name, short, unbuilt string, children ...*cobra.Command) *cobra.Command {
	unknown := func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fmt.Errorf("%q is not a command of brig %s.\nSee 'brig %s --help'", args[0], name, name)
	}
	cmd := &cobra.Command{
		Use: name + " COMMAND", Short: short, Args: unknown,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		DisableFlagsInUseLine: true,
	}
	for _, child := range children {
		cmd.AddCommand(plain(child))
	}
	for _, name := range strings.Fields(unbuilt) {
		cmd.AddCommand(refuse(name))
	}
	cmd.SetFlagErrorFunc(func(at *cobra.Command, err error) error {
		if words := at.Flags().Args(); at == cmd && len(words) > 0 {
			return unknown(at, words) // whose options nobody can know
		}
		return &exitError{engineFailed, withHint(at, err)}
	})
	return cmd
}

// words checks how many arguments there are; most < 0 is any number.
func words(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		n := len(args)
		if n >= least && (most < 0 || n <= most) {
			return nil
		}
		text := "takes no arguments"
		switch {
		case most < 0:
			text = fmt.Sprintf("needs at least %s", arguments(least))
		case least == most && least > 0:
			text = fmt.Sprintf("needs %s", arguments(least))
		case most > 0:
			text = fmt.Sprintf("takes %d to %s", least, arguments(most))
		}
		err := withHint(cmd, fmt.Errorf("%q %s\nUsage: %s", cmd.CommandPath(), text, cmd.UseLine()))
		if name := cmd.Name(); name == "run" || name == "create" {
			return &exitError{engineFailed, err}
		}
		return err
	}
}

func arguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

func withHint(cmd *cobra.Command, err error) error {
	return errors.New(err.Error() + "\nSee '" + cmd.CommandPath() + " --help'.")
}
