// Command run is what `make run` does: it looks at the machine, starts an engine in a directory of its own, lets the
// seven attacks loose on it, and leaves nothing behind. With -image it runs a container there instead.
//
//	run [-bin DIR] [-json] [-verbose] [-outside] [-private-network] [-slow N] [-probes ID,ID]
//	run [-bin DIR] -image IMAGE|ARCHIVE [-- COMMAND ARGUMENT...]
//	run [-bin DIR] -socket PATH          drill the engine that listens there, and start none
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/moby/term"

	"github.com/brig-engine/brig/internal/check"
	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/engineapi"
	"github.com/brig-engine/brig/internal/drill/ownengine"
)

type options struct {
	bin, image, socket            string
	json, verbose, outside, apart bool
	slow                          int
	probes                        string
	command                       []string
	stdinTerminal, stdoutTerminal bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&o.image, "image", "", "run a container of this image, or of an archive of one or of a root file system, instead of the drill")
	flag.StringVar(&o.socket, "socket", "", "drill the engine that listens at this socket, and start none")
	flag.BoolVar(&o.json, "json", false, "print the whole report as JSON")
	flag.BoolVar(&o.verbose, "verbose", false, "print every probe's verdict as well")
	flag.BoolVar(&o.outside, "outside", false, "also ask for the cloud's metadata service (leaves the machine)")
	flag.BoolVar(&o.apart, "private-network", false, "do all of it in a new network namespace, away from the machine's")
	flag.IntVar(&o.slow, "slow", 1, "by how much this machine is slower than one is (emulation): bounds of time are multiplied by it")
	flag.StringVar(&o.probes, "probes", "", "try only these attacks or probes (with commas)")
	flag.Parse()
	o.command = flag.Args()
	o.stdinTerminal, o.stdoutTerminal = term.IsTerminal(0), term.IsTerminal(1)
	os.Exit(o.main())
}

func (o *options) main() int {
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return complain(errors.New("root is needed to start the engine, and there is no sudo. Next: become root, then make run"))
		}
		status, err := ownengine.AsRoot("The engine, and the canaries of the drill, need root")
		if err != nil {
			return complain(err)
		}
		return status
	}
	if o.apart {
		if err := ownengine.Apart("BRIG_RUN_PRIVATE_NETWORK"); err != nil {
			return complain(err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	status, err := o.run(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		return complain(err)
	}
	return status
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "run: "+err.Error())
	return 1
}

// run does the work. It returns the exit status of `make run`: 0 when Brig withstood everything.
func (o *options) run(ctx context.Context) (status int, err error) {
	if o.socket != "" {
		e, err := engineapi.Dial(ctx, o.socket)
		if err != nil {
			return 1, err
		}
		return o.drill(ctx, e)
	}
	if report := check.Doctor(); !report.Able || o.image == "" && !o.json {
		report.Text(os.Stdout, o.stdoutTerminal)
		if !report.Able {
			return 1, nil
		}
		fmt.Println()
	}
	e, err := ownengine.Start(ctx, o.bin, os.Stderr)
	if err != nil {
		return 1, err
	}
	defer func() {
		left, stopErr := e.Stop()
		if stopErr != nil {
			err = errors.Join(err, stopErr)
		}
		if len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("left behind: %v", left))
		}
		if stopErr == nil && len(left) == 0 {
			fmt.Fprintln(os.Stderr, "Swept: no process, mount, cgroup, interface, firewall table or directory of it is left.")
		}
	}()
	if o.image != "" {
		return o.container(e)
	}
	brig, err := engineapi.Dial(ctx, e.Socket)
	if err != nil {
		return 1, err
	}
	engines := []drill.Engine{brig}
	if peer, err := engineapi.Dial(ctx, "/var/run/docker.sock"); err == nil {
		engines = append(engines, peer)
	}
	return o.drill(ctx, engines...)
}

// drill runs all probes against all engines and prints the table. The status speaks about the first engine.
func (o *options) drill(ctx context.Context, engines ...drill.Engine) (int, error) {
	program, err := filepath.Abs(filepath.Join(o.bin, "brig-probe"))
	if err != nil {
		return 1, err
	}
	chosen, err := drill.Choose(o.probes, false)
	if err != nil {
		return 1, err
	}
	var ids []string
	for _, p := range chosen {
		ids = append(ids, p.ID)
	}
	var reports []*drill.Report
	for _, e := range engines {
		options := drill.Options{Program: program, Outside: o.outside, Slow: o.slow, Only: ids}
		done := func() {}
		if term.IsTerminal(2) {
			options.Progress, done = drill.Progress(os.Stderr, e.Name())
		}
		r, err := drill.Run(ctx, e, options)
		done()
		if err != nil {
			return 1, fmt.Errorf("drill %s: %w", e.Name(), err)
		}
		reports = append(reports, r)
	}
	if err := o.print(os.Stdout, reports); err != nil {
		return 1, err
	}
	if reports[0].Exposed() > 0 {
		return 1, nil
	}
	return 0, nil
}

func (o *options) print(w io.Writer, reports []*drill.Report) error {
	if o.json {
		return drill.RenderJSON(w, reports...)
	}
	style := drill.Style{Color: o.stdoutTerminal}
	if o.stdoutTerminal {
		if size, err := term.GetWinsize(1); err == nil {
			style.Width = int(size.Width)
		}
	}
	drill.Render(w, style, reports...)
	if o.verbose {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, r := range reports {
			for _, v := range r.Verdicts {
				if err := e.Encode(v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// container runs one container in the foreground with the caller's terminal.
func (o *options) container(e *ownengine.Engine) (int, error) {
	image, err := e.Bring(o.image)
	if err != nil {
		return 1, err
	}
	args := []string{"--host", "unix://" + e.Socket, "run", "--rm", "-i"}
	if o.stdinTerminal && o.stdoutTerminal {
		args = append(args, "-t")
	}
	cmd := exec.Command(filepath.Join(o.bin, "brig"), append(append(args, image), o.command...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	} else if err != nil {
		return 1, err
	}
	return 0, nil
}
