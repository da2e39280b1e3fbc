package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/launch"
)

// newDrill becomes brig-drill, a program of its own: what it is made of would make every other command slower to start.
func newDrill(a *App) *cobra.Command {
	var engine, only, explain, format string
	var quick, list, outside, depth bool
	cmd := &cobra.Command{
		Use: "drill [OPTIONS]", Short: "Attack an engine of this machine, and say what stopped each attack",
		Long: "Attack an engine of this machine in the ways of the survey, harmlessly, and say what stopped each attack.\n" +
			"The exit status is 0 if nothing got through, 1 if something did, and 125 if the drill could not run.",
		Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list && (outside || cmd.Flags().Changed("engine")) {
				return &exitError{engineFailed, errors.New("--list is of all probes, for any engine. Next: leave out --engine and --outside")}
			}
			if explain != "" && (list || quick || outside || depth || only != "" || cmd.Flags().Changed("engine")) {
				return &exitError{engineFailed, errors.New("--explain is about one probe, for any engine. Next: leave out the other options but --format")}
			}
			if depth && (list || cmd.Flags().Changed("engine")) {
				return &exitError{engineFailed, errors.New("--depth starts engines of its own. Next: leave out --engine and --list")}
			}
			args := []string{"-only", only, "-explain", explain, "-format", format}
			for name, on := range map[string]bool{"-quick": quick, "-list": list, "-outside": outside, "-depth": depth} {
				if on {
					args = append(args, name)
				}
			}
			if !list && !depth && explain == "" {
				socket, err := a.drilled(cmd.Context(), engine)
				if err != nil {
					return &exitError{engineFailed, err}
				}
				args = append(args, "-socket", socket)
			}
			return withCode(engineFailed, launch.Exec("brig-drill", args...))
		},
	}
	cmd.Flags().StringVar(&engine, "engine", "brig", "brig, docker, podman, or the path of an engine's socket")
	cmd.Flags().StringVar(&only, "only", "", "Attacks (A3) or probes (by id) to try, separated by commas")
	cmd.Flags().BoolVar(&quick, "quick", false, "Try one probe of each attack")
	cmd.Flags().BoolVar(&list, "list", false, "List the probes, and try none")
	cmd.Flags().BoolVar(&depth, "depth", false, "Remove one defence at a time, on engines started for it (minutes)")
	cmd.Flags().BoolVar(&outside, "outside", false, "Also ask the cloud's metadata service, which is not on this machine")
	cmd.Flags().StringVar(&explain, "explain", "", "Explain a probe (by id): what is tried, what stops it, and where in the code")
	cmd.Flags().StringVarP(&format, "format", "f", "table", "Format: table or json")
	return cmd
}

// drilled is the socket of the engine that is meant.
func (a *App) drilled(ctx context.Context, engine string) (string, error) {
	switch engine {
	case "brig":
		client, err := a.engine()
		if err != nil {
			return "", err
		}
		if err := client.Call(ctx, "GET", "/_ping", nil, nil); err != nil { // starts it if need be
			return "", err
		}
		return strings.TrimPrefix(client.Host(), "unix://"), nil
	case "docker":
		return "/var/run/docker.sock", nil
	case "podman":
		return "/run/podman/podman.sock", nil
	}
	return strings.TrimPrefix(engine, "unix://"), nil
}
