// brig-drill is what brig drill runs. Its options come from there; nobody else has to call it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/moby/term"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/engineapi"
)

type options struct {
	socket, only, explain, format string
	quick, list, outside, deep    bool
}

// failed is the exit status of a drill that could not run.
const failed = 125

func main() {
	var o options
	flag.StringVar(&o.socket, "socket", "", "path of the engine's socket")
	flag.StringVar(&o.only, "only", "", "attacks or probes")
	flag.StringVar(&o.explain, "explain", "", "a probe to explain")
	flag.StringVar(&o.format, "format", "table", "table or json")
	flag.BoolVar(&o.quick, "quick", false, "one probe of each attack")
	flag.BoolVar(&o.deep, "depth", false, "remove layers, on engines of the drill's own")
	flag.BoolVar(&o.list, "list", false, "list the probes")
	flag.BoolVar(&o.outside, "outside", false, "ask the metadata service")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	exposed, err := o.run(ctx, os.Stdout)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; everything that was planted is removed")
		}
		fmt.Fprintln(os.Stderr, "brig: drill: "+err.Error())
		os.Exit(failed)
	}
	if exposed {
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context, out io.Writer) (exposed bool, err error) {
	if o.format != "table" && o.format != "json" {
		return false, fmt.Errorf("--format %q: table or json", o.format)
	}
	if o.explain != "" {
		return false, o.tell(out)
	}
	chosen, err := drill.Choose(o.only, o.quick)
	if err != nil {
		return false, err
	}
	if o.list {
		if o.format == "json" {
			return false, drill.ListJSON(out, chosen)
		}
		drill.List(out, chosen)
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	options := o.drillOptions(filepath.Dir(self), chosen)
	if len(chosen) == 0 || len(options.Selected()) == 0 {
		return false, errors.New("nothing is left to try. Next: brig drill --list; what leaves this machine needs --outside")
	}
	if os.Geteuid() != 0 {
		return false, errors.New("the canaries need root. Next: repeat the command with sudo")
	}
	if o.deep {
		return o.depth(ctx, out, filepath.Dir(self), options)
	}
	engine, err := engineapi.Dial(ctx, o.socket)
	if err != nil {
		return false, err
	}
	done := func() {}
	if term.IsTerminal(2) {
		options.Progress, done = drill.Progress(os.Stderr, engine.Name())
	}
	report, err := drill.Run(ctx, engine, options)
	done()
	if err != nil {
		return false, err
	}
	if o.format == "json" {
		return report.Exposed() > 0, drill.RenderJSON(out, report)
	}
	drill.RenderProbes(out, style(), report)
	drill.Render(out, style(), report)
	return report.Exposed() > 0, nil
}

// drillOptions are those for the programs of a directory.
func (o *options) drillOptions(dir string, chosen []drill.Probe) drill.Options {
	options := drill.Options{Program: filepath.Join(dir, "brig-probe"), Outside: o.outside}
	for _, p := range chosen {
		options.Only = append(options.Only, p.ID)
	}
	return options
}

// tell explains one probe.
func (o *options) tell(out io.Writer) error {
	e, err := drill.Explain(o.explain)
	if err != nil {
		return err
	}
	if o.format == "json" {
		return e.RenderJSON(out)
	}
	e.Render(out, style())
	return nil
}

// style is that of standard output.
func style() drill.Style {
	s := drill.Style{Color: term.IsTerminal(1) && os.Getenv("NO_COLOR") == ""}
	if size, err := term.GetWinsize(1); err == nil && term.IsTerminal(1) {
		s.Width = int(size.Width)
	}
	return s
}
