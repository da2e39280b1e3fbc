package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usage writes the help text of a command. Cobra's own template is replaced for two reasons: it names the types of
// options in the language of their implementation, and parsing it would be most of the time that help takes.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n", cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "Also:  %s\n", strings.Join(cmd.Aliases, ", "))
	}
	for _, g := range cmd.Groups() {
		writeCommands(&b, cmd, g.Title, g.ID)
	}
	writeCommands(&b, cmd, "Commands:", "")
	writeOptions(&b, cmd.Flags())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nHelp on one command: %s COMMAND --help\n", cmd.CommandPath())
	}
	_, err := cmd.OutOrStdout().Write([]byte(b.String()))
	return err
}

func help(cmd *cobra.Command, _ []string) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n", text)
	// Writing help to a closed pipe is no failure.
	_ = usage(cmd)
}

func writeCommands(b *strings.Builder, cmd *cobra.Command, title, group string) {
	first := true
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.GroupID != group {
			continue
		}
		if first {
			fmt.Fprintf(b, "\n%s\n", title)
			first = false
		}
		fmt.Fprintf(b, "  %-11s %s\n", c.Name(), c.Short)
	}
}

// writeOptions lists options with what their values are: nothing for switches, "list" for those that may be repeated.
func writeOptions(b *strings.Builder, flags *pflag.FlagSet) {
	var left, right []string
	width := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		l := "    --" + f.Name
		if f.Shorthand != "" {
			l = "-" + f.Shorthand + ", --" + f.Name
		}
		l += valueName(f)
		width = max(width, len(l))
		left = append(left, l)
		text := f.Usage
		if d := f.DefValue; f.Value.Type() == "string" && d != "" {
			text += fmt.Sprintf(" (default %q)", d)
		} else if f.Value.Type() == "bool" && d == "true" {
			text += " (default true)"
		}
		right = append(right, text)
	})
	if len(left) > 0 {
		b.WriteString("\nOptions:\n")
	}
	for i := range left {
		fmt.Fprintf(b, "  %-*s  %s\n", width, left[i], right[i])
	}
}

func valueName(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return ""
	case "stringArray":
		return " list"
	case "string":
		return " string"
	}
	return " number"
}
