package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/check"
	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/launch"
	"github.com/brig-engine/brig/internal/cli/show"
)

func newEngineNoun(a *App) *cobra.Command {
	return noun(a, "engine", "Start, stop and look at the engine of this machine", "",
		newEngineStart(a), newEngineStop(a), newEngineStatus(a))
}

// place is where an engine lives, as options. RUN finds it; ROOT and SOCKET, where they are not needed, are compared.
type place struct{ root, run, socket string }

func (p *place) bind(cmd *cobra.Command, root string) {
	cmd.Flags().StringVar(&p.root, "root", root, "Directory of what lives longer")
	cmd.Flags().StringVar(&p.run, "run", launch.DefaultRun, "Directory of what lives until the machine stops")
	cmd.Flags().StringVar(&p.socket, "socket", "", "Path of the API socket (default RUN/brig.sock)")
}

// resolve makes the paths absolute.
func (p *place) resolve() error {
	for _, path := range []*string{&p.root, &p.run, &p.socket} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	return nil
}

// found holds what was asked for against the engine that runs in RUN, and takes over from it what was not.
func (p *place) found(s launch.Status) error {
	for _, is := range []struct {
		option     string
		asked, has *string
	}{{"--root", &p.root, &s.Root}, {"--socket", &p.socket, &s.Socket}} {
		switch {
		case *is.asked == "":
			*is.asked = *is.has
		case *is.has != "" && *is.has != *is.asked:
			return fmt.Errorf("%s %s: the engine in %s has %s. Next: give the --run of the engine that is meant",
				is.option, *is.asked, p.run, *is.has)
		}
	}
	if p.socket == "" {
		p.socket = filepath.Join(p.run, "brig.sock")
	}
	return nil
}

func newEngineStart(a *App) *cobra.Command {
	var p place
	var old dockerd
	var o launch.Options
	cmd := &cobra.Command{
		Use: "start [OPTIONS]", Short: "Start an engine", Args: words(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := old.refuse(); err != nil {
				return &exitError{engineFailed, err}
			}
			if err := errors.Join(p.resolve(), p.found(launch.Status{})); err != nil {
				return err
			}
			for _, x := range []struct {
				option, value string
				known         []string
			}{{"--log-format", o.LogFormat, launch.LogFormats}, {"--log-level", o.LogLevel, launch.LogLevels}} {
				if !slices.Contains(x.known, x.value) {
					return fmt.Errorf("%s %.64q: %s", x.option, x.value, strings.Join(x.known, ", "))
				}
			}
			o.Root, o.Run, o.Socket = p.root, p.run, p.socket
			var err error
			if o.Runtime, err = old.defaultRuntime(p.root, o.Runtime); err != nil {
				return &exitError{engineFailed, err}
			}
			err = launch.Start(o)
			if errors.Is(err, launch.ErrRunning) {
				fmt.Fprintf(a.Out, "engine already running: unix://%s\n", p.socket)
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Out, "engine started: unix://%s\n", p.socket)
			return nil
		},
	}
	p.bind(cmd, launch.DefaultRoot)
	old.bind(cmd)
	cmd.Flags().StringVar(&o.LogFormat, "log-format", launch.LogFormats[0], "Format of the engine's log: text, or json (a line for each record)")
	cmd.Flags().StringVar(&o.LogLevel, "log-level", launch.LogLevels[0], "Least level that is logged: debug (requests, too), info, warn or error")
	cmd.Flags().Var((*storageOption)(&o.Storage), "storage-opt", "Disk space of each container (dm.basesize=SIZE) and volume (brig.volumesize=SIZE)")
	cmd.Flags().StringVar(&o.Runtime, "default-runtime", "", "Runtime of containers that name none: brig, or one of policy.toml")
	cmd.Flags().BoolVar(&o.Foreground, "foreground", false, "Become the engine instead of starting it in the background")
	return cmd
}

// autostart starts this machine's engine for a command that needs it, and says so.
func (a *App) autostart(host string) error {
	err := launch.Start(launch.Options{
		Root: launch.DefaultRoot, Run: launch.DefaultRun, Socket: strings.TrimPrefix(host, "unix://"),
	})
	if errors.Is(err, launch.ErrRunning) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("no engine was running, and starting one failed: %w", err)
	}
	a.say("no engine was running; started one (%s)", host)
	return nil
}

func newEngineStop(a *App) *cobra.Command {
	var p place
	var force bool
	cmd := &cobra.Command{
		Use: "stop [OPTIONS]", Short: "Stop an engine and its containers", Args: words(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := p.resolve(); err != nil {
				return err
			}
			if err := p.found(launch.Look(p.run)); err != nil {
				return err
			}
			if err := launch.Stop(p.run, force); err != nil {
				return err
			}
			fmt.Fprintln(a.Out, "engine stopped")
			return nil
		},
	}
	p.bind(cmd, "")
	cmd.Flags().BoolVar(&force, "force", false, "Kill an engine that does not end; its containers run on")
	return cmd
}

// engineStatus is what `brig engine status --format json` prints.
type engineStatus struct {
	launch.Status
	Address    string   `json:"address"`
	Answers    bool     `json:"answers"`
	Version    string   `json:"version,omitempty"`
	APIVersion string   `json:"apiVersion,omitempty"`
	Kernel     string   `json:"kernel,omitempty"`
	Containers int      `json:"containers"`
	Active     int      `json:"runningContainers"`
	Images     int      `json:"images"`
	Security   []string `json:"security,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
	Problem    string   `json:"problem,omitempty"`
}

func newEngineStatus(a *App) *cobra.Command {
	var p place
	var format string
	cmd := &cobra.Command{
		Use: "status [OPTIONS]", Short: "Print whether an engine runs, and what it is", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.resolve(); err != nil {
				return err
			}
			s, err := a.engineStatus(cmd.Context(), &p)
			if err != nil {
				return err
			}
			if format != "" {
				if err := show.One(a.document(), format, s); err != nil {
					return err
				}
			} else {
				a.printStatus(&s)
			}
			if !s.Answers {
				return &exitError{code: 1}
			}
			return nil
		},
	}
	p.bind(cmd, "")
	cmd.Flags().StringVarP(&format, "format", "f", "", "Format: json, or a template")
	return cmd
}

func (a *App) engineStatus(ctx context.Context, p *place) (engineStatus, error) {
	s := engineStatus{Status: launch.Look(p.run)}
	if err := p.found(s.Status); err != nil {
		return s, err
	}
	s.Address = "unix://" + p.socket
	// An engine that hangs accepts connections and never answers; that is a state worth reporting, not waiting for.
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	engine, err := api.New(s.Address, nil)
	var v engineapi.VersionResponse
	var info engineapi.Info
	if err == nil {
		err = engine.Call(ctx, "GET", "/version", nil, &v)
	}
	if err == nil {
		err = engine.Call(ctx, "GET", "/info", nil, &info)
	}
	if err != nil {
		s.Problem = describe(err)
		if errors.Is(err, context.DeadlineExceeded) {
			s.Problem = "no answer within 3 seconds"
		}
		return s, nil
	}
	s.Answers, s.Version, s.APIVersion, s.Kernel = true, v.Version, v.APIVersion, info.KernelVersion
	s.Containers, s.Active, s.Images = info.Containers, info.ContainersRunning, info.Images
	s.Security, s.Warnings = info.SecurityOptions, info.Warnings
	return s, nil
}

func (a *App) printStatus(s *engineStatus) {
	line := func(head, text string) { fmt.Fprintf(a.Out, "%-12s %s\n", head, show.Clean(text, false)) }
	switch {
	case s.Answers:
		line("engine", "running, version "+s.Version+", API "+s.APIVersion)
	case s.Running:
		line("engine", "running, but it does not answer: "+s.Problem)
	case s.Hidden:
		line("engine", "only root can tell: "+s.Problem)
	default:
		line("engine", "not running: "+s.Problem)
	}
	line("address", s.Address)
	if s.Running {
		var pids []string
		for _, name := range []string{"brig-keeper", "brig-warden", "brig-router", "brig-store", "brigd"} {
			if pid := s.PIDs[name]; pid != 0 {
				pids = append(pids, fmt.Sprintf("%s %d", name, pid))
			}
		}
		line("processes", strings.Join(pids, ", "))
	}
	if !s.Answers {
		return
	}
	line("containers", fmt.Sprintf("%d, %d of them running", s.Containers, s.Active))
	line("images", fmt.Sprint(s.Images))
	line("kernel", s.Kernel)
	line("security", strings.Join(s.Security, " "))
	for _, w := range s.Warnings {
		line("warning", w)
	}
}

func newDoctor(a *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "doctor [OPTIONS]", Short: "Say whether this machine can run containers, and what to do if not",
		Args: words(0, 0),
		RunE: func(*cobra.Command, []string) error {
			report := check.Doctor()
			var err error
			if format != "" {
				err = show.One(a.document(), format, report)
			} else {
				err = report.Text(a.Out, console.Of(a.Out).Is() && a.Getenv("NO_COLOR") == "")
			}
			if err == nil && !report.Able {
				return &exitError{code: 1}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "Format: json, or a template")
	return cmd
}
