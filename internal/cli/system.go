package cli

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// versions is what `brig version` prints and what its templates can name.
type versions struct {
	Client clientVersion
	Server *engineapi.VersionResponse
}

type clientVersion struct{ Version, APIVersion, GoVersion, Os, Arch string }

func newVersion(a *App) *cobra.Command {
	var format string
	var clientOnly bool
	cmd := &cobra.Command{
		Use: "version [OPTIONS]", Short: "Print the versions of the command line and the engine", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{Client: clientVersion{a.Version, api.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}}
			var unreachable error
			if !clientOnly {
				v.Server, unreachable = a.serverVersion(cmd.Context())
			}
			if format != "" {
				if err := show.One(a.document(), format, v); err != nil {
					return err
				}
				return unreachable
			}
			a.printVersions(v)
			return unreachable
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "Format: json, or a template")
	cmd.Flags().BoolVar(&clientOnly, "client", false, "Do not ask the engine")
	return cmd
}

func (a *App) serverVersion(ctx context.Context) (*engineapi.VersionResponse, error) {
	engine, err := a.running()
	if err != nil {
		return nil, err
	}
	var v engineapi.VersionResponse
	if err := engine.Call(ctx, "GET", "/version", nil, &v); err != nil {
		return nil, err
	}
	return &v, nil
}

func (a *App) printVersions(v versions) {
	c := v.Client
	fmt.Fprintf(a.Out, "Client:  %s (API %s, %s, %s/%s)\n", c.Version, c.APIVersion, c.GoVersion, c.Os, c.Arch)
	if s := v.Server; s != nil {
		line := fmt.Sprintf("Engine:  %s (API %s, from %s, %s/%s, kernel %s)", s.Version, s.APIVersion, s.MinAPIVersion,
			s.Os, s.Arch, s.KernelVersion)
		fmt.Fprintln(a.Out, show.Clean(line, false))
	}
}

func newInfo(a *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "info [OPTIONS]", Short: "Print what the engine is and has", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var info engineapi.Info
			if err := engine.Call(cmd.Context(), "GET", "/info", nil, &info); err != nil {
				return err
			}
			if format != "" {
				return show.One(a.document(), format, info)
			}
			a.printInfo(&info)
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "Format: json, or a template")
	return cmd
}

func (a *App) printInfo(i *engineapi.Info) {
	line := func(head, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(a.Out, "%-16s %s\n", head+":", show.Clean(text, false))
		}
	}
	line("Engine", "%s", i.ServerVersion)
	line("Containers", "%d (%d running, %d stopped)", i.Containers, i.ContainersRunning, i.ContainersStopped)
	line("Images", "%d", i.Images)
	line("Storage", "%s", i.Driver)
	line("Logs", "%s", i.LoggingDriver)
	line("Cgroups", "v%s, %s", i.CgroupVersion, i.CgroupDriver)
	line("Runtime", "%s", i.DefaultRuntime)
	line("Security", "%s", strings.Join(i.SecurityOptions, " "))
	line("Kernel", "%s", i.KernelVersion)
	line("System", "%s", strings.TrimPrefix(i.OperatingSystem+", "+i.Architecture, ", "))
	line("CPUs", "%d", i.NCPU)
	line("Memory", "%s", units.BytesSize(float64(i.MemTotal)))
	line("Name", "%s", i.Name)
	line("Directory", "%s", i.DockerRootDir)
	for _, pair := range i.DriverStatus {
		line(pair[0], "%s", pair[1])
	}
	for _, w := range i.Warnings {
		a.say("warning: %s", w)
	}
}
