package oci

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// app is one run of the program: what stands in front of the command.
type app struct {
	version   string
	root      string
	log       string
	logFormat string
	debug     bool
	systemd   bool // makes control groups
}

// command is one of those that an engine knows.
type command struct {
	name, args, help string
	// births: it makes processes that are copies of this program until they execute another.
	births bool
	// setup declares the options and gives what does the work.
	setup func(a *app, f *flag.FlagSet) func(args []string) (int, error)
	// failed is the exit status of a failure; 0 stands for 1.
	failed int
}

func commands() []command {
	return []command{
		{name: "create", args: "ID", help: "make a container that waits for start", births: true, setup: setupCreate},
		{name: "start", args: "ID", help: "let the container's program run", births: true, setup: setupStart},
		{name: "run", args: "ID", help: "create and start, and wait unless -d", births: true, setup: setupRun},
		{name: "exec", args: "ID [PROGRAM…]", help: "run a process in a container", births: true, setup: setupExec, failed: 255},
		{name: "state", args: "ID", help: "print the state", setup: setupState},
		{name: "kill", args: "ID [SIGNAL]", help: "send a signal (TERM)", setup: setupKill},
		{name: "delete", args: "ID", help: "remove what is left of a container", setup: setupDelete},
		{name: "list", help: "list containers", setup: setupList},
		{name: "ps", args: "ID [PS OPTIONS…]", help: "list the processes of a container", setup: setupPS},
		{name: "pause", args: "ID", help: "freeze every process", setup: setupPause},
		{name: "resume", args: "ID", help: "let them go on", setup: setupResume},
		{name: "update", args: "ID", help: "change resources", setup: setupUpdate},
		{name: "events", args: "ID", help: "print what is used, and what is killed for want of memory", setup: setupEvents},
		{name: "spec", help: "write a config.json", setup: setupSpec},
		{name: "features", help: "print what this runtime can do", setup: setupFeatures},
	}
}

// refused are commands and options that other runtimes have, with what there is instead.
var refused = map[string]string{
	"checkpoint": "containers cannot be written to disk", "restore": "containers cannot be written to disk",
}

// Main runs the program and returns its exit status.
func Main(version string, args []string) int {
	a := &app{version: version}
	f := flag.NewFlagSet("brig-oci", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&a.root, "root", "/run/brig-oci", "directory of the containers' state, which is root's alone")
	f.StringVar(&a.log, "log", "", "file that errors and warnings are appended to")
	f.StringVar(&a.logFormat, "log-format", "text", "text or json")
	f.BoolVar(&a.debug, "debug", false, "say more")
	f.BoolVar(&a.systemd, "systemd-cgroup", false, "have systemd make control groups")
	rootless := f.String("rootless", "auto", "auto or false")
	var show bool
	f.BoolVar(&show, "version", false, "print versions")
	f.BoolVar(&show, "v", false, "print versions")
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp) || err == nil && !show && f.NArg() == 0 || err == nil && f.Arg(0) == "help":
		a.usage(os.Stdout, f)
		return 0
	case err != nil:
		return a.fail(err, 1)
	case show:
		fmt.Printf("brig-oci version %s\nspec: %s\n", version, specs.Version)
		return 0
	case *rootless == "true":
		return a.fail(errors.New("--rootless true is not supported: brig-oci runs as root"), 1)
	case a.logFormat != "text" && a.logFormat != "json":
		return a.fail(fmt.Errorf("--log-format %q: text or json", a.logFormat), 1)
	}
	return a.command(f.Args())
}

func (a *app) command(args []string) int {
	if why, ok := refused[args[0]]; ok {
		return a.fail(fmt.Errorf("%s is not supported by brig-oci: %s", args[0], why), 1)
	}
	list := commands()
	i := slices.IndexFunc(list, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return a.fail(fmt.Errorf("unknown command %q. Next: brig-oci help", args[0]), 1)
	}
	c := &list[i]
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	work := c.setup(a, f)
	err := f.Parse(args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Printf("brig-oci %s [OPTIONS] %s: %s\n", c.name, c.args, c.help)
		f.SetOutput(os.Stdout)
		f.PrintDefaults()
		return 0
	}
	rest := f.Args()
	if err == nil && c.name != "exec" && c.name != "ps" { // options may stand behind the id as well
		rest, err = behind(f, rest)
	}
	if err == nil && c.births {
		returnFileLimit()
		err = leaveNothingToWrite()
	}
	status := 0
	if err == nil {
		status, err = work(rest)
	}
	if err != nil {
		return a.fail(err, max(c.failed, 1))
	}
	return status
}

// behind parses options that follow the id.
func behind(f *flag.FlagSet, args []string) (rest []string, err error) {
	for len(args) > 0 && err == nil {
		if strings.HasPrefix(args[0], "-") && len(args[0]) > 1 {
			if err = f.Parse(args); err == nil {
				args = f.Args()
			}
			continue
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	return rest, err
}

func (a *app) usage(w io.Writer, f *flag.FlagSet) {
	fmt.Fprint(w, "brig-oci starts containers from OCI bundles. It runs as root and does as its caller says.\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %-20s %s\n", c.name, c.args, c.help)
	}
	fmt.Fprint(w, "\nOptions in front of the command:\n")
	f.SetOutput(w)
	f.PrintDefaults()
}

// fail tells an error where engines look for it.
func (a *app) fail(err error, status int) int {
	text := "brig-oci: " + err.Error()
	a.note("error", err.Error())
	fmt.Fprintln(os.Stderr, text)
	return status
}

// warn tells what does not end a command.
func (a *app) warn(format string, args ...any) {
	a.note("warning", fmt.Sprintf(format, args...))
	if a.log == "" {
		fmt.Fprintf(os.Stderr, "brig-oci: "+format+"\n", args...)
	}
}

// note appends a line to the log, in the shape that engines parse.
func (a *app) note(level, text string) {
	if a.log == "" {
		return
	}
	now := time.Now().Format(time.RFC3339)
	line := fmt.Appendf(nil, "time=%q level=%s msg=%q", now, level, text)
	if a.logFormat == "json" {
		line, _ = json.Marshal(map[string]string{"level": level, "msg": text, "time": now}) // texts can be written
	}
	f, err := os.OpenFile(a.log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "brig-oci: log:", err)
	}
}

// words is an option that may be given several times.
type words []string

func (w *words) String() string     { return strings.Join(*w, ",") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

// one takes the id out of the arguments.
func one(args []string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("%d arguments, where the id of a container is needed alone", len(args))
	}
	return args[0], nil
}
