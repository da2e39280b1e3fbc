package oci

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/internal/oci/state"
)

// shown is a container as state and list print it; the fields are runc's.
type shown struct {
	Version     string               `json:"ociVersion"`
	ID          string               `json:"id"`
	PID         int                  `json:"pid"`
	Status      specs.ContainerState `json:"status"`
	Bundle      string               `json:"bundle"`
	Root        string               `json:"rootfs"`
	Created     time.Time            `json:"created"`
	Annotations map[string]string    `json:"annotations,omitempty"`
	Owner       string               `json:"owner"`
}

func show(d *state.Dir) shown {
	s := shown{d.Version, d.ID, d.PID, d.Status(), d.Bundle, d.Root, d.Created.UTC(), d.Annotations, ""}
	if s.Status == specs.StateStopped {
		s.PID = 0
	}
	return s
}

// printJSON prints a value for programs.
func printJSON(v any, indent string) error {
	b, err := json.MarshalIndent(v, "", indent)
	if indent == "" {
		b, err = json.Marshal(v)
	}
	if err == nil {
		_, err = os.Stdout.Write(append(b, '\n'))
	}
	return err
}

func setupState(a *app, _ *flag.FlagSet) func([]string) (int, error) {
	return func(args []string) (int, error) {
		id, err := one(args)
		if err != nil {
			return 0, err
		}
		d, err := state.Look(a.root, id)
		if err != nil {
			return 0, err
		}
		return 0, printJSON(show(d), "  ")
	}
}

func setupList(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var format string
	var quiet bool
	f.StringVar(&format, "format", "table", "table or json")
	f.StringVar(&format, "f", "table", "short for format")
	f.BoolVar(&quiet, "quiet", false, "ids alone")
	f.BoolVar(&quiet, "q", false, "short for quiet")
	return func([]string) (int, error) { return 0, a.list(format, quiet) }
}

func (a *app) list(format string, quiet bool) error {
	ids, err := state.List(a.root)
	if err != nil {
		return err
	}
	all := []shown{}
	for _, id := range ids {
		if d, err := state.Look(a.root, id); err == nil { // others are being made or removed
			all = append(all, show(d))
		}
	}
	switch {
	case quiet:
		for _, s := range all {
			fmt.Println(s.ID)
		}
		return nil
	case format == "json":
		return printJSON(all, "")
	case format != "table":
		return fmt.Errorf("--format %q: table or json", format)
	}
	w := tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.PID, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), "root")
	}
	return w.Flush()
}

func setupPS(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var format string
	f.StringVar(&format, "format", "table", "table or json")
	f.StringVar(&format, "f", "table", "short for format")
	return func(args []string) (int, error) {
		if len(args) == 0 {
			return 0, errors.New("ps: which container?")
		}
		if rest, err := behind(f, args[:1]); err != nil || len(rest) != 1 {
			return 0, errors.Join(err, errors.New("ps: which container?"))
		}
		if len(args) > 2 && (args[1] == "--format" || args[1] == "-f") && (args[2] == "json" || args[2] == "table") {
			format, args = args[2], slices.Delete(slices.Clone(args), 1, 3)
		}
		return 0, a.ps(args[0], format, args[1:])
	}
}

func (a *app) ps(id, format string, options []string) error {
	d, err := state.Look(a.root, id)
	if err != nil {
		return err
	}
	pids, err := d.Groups.PIDs(true)
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return printJSON(append([]int{}, pids...), "")
	case "table":
	default:
		return fmt.Errorf("--format %q: table or json", format)
	}
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	out, err := exec.Command("ps", options...).Output() // the host's own
	if err != nil {
		return fmt.Errorf("ps of the host: %w", err)
	}
	return filterPS(string(out), pids)
}

// filterPS prints the lines of ps that are of some processes.
func filterPS(text string, pids []int) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return errors.New("what ps of the host prints has no column PID")
	}
	fmt.Println(lines[0])
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		if len(f) <= column {
			continue
		}
		if pid, err := strconv.Atoi(f[column]); err == nil && slices.Contains(pids, pid) {
			fmt.Println(line)
		}
	}
	return nil
}

// event is what events prints: the fields are runc's.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data any    `json:"data,omitempty"`
}

func setupEvents(a *app, f *flag.FlagSet) func([]string) (int, error) {
	interval := f.Duration("interval", 5*time.Second, "how often")
	once := f.Bool("stats", false, "print what is used once")
	return func(args []string) (int, error) {
		id, err := one(args)
		if err == nil && *interval <= 0 {
			err = errors.New("--interval must be positive")
		}
		if err == nil {
			err = a.events(id, *interval, *once)
		}
		return 0, err
	}
}

func (a *app) events(id string, interval time.Duration, once bool) error {
	d, err := state.Look(a.root, id)
	if err != nil {
		return err
	}
	if d.Status() == specs.StateStopped {
		return fmt.Errorf("container with id %s is not running", id)
	}
	killed := d.Groups.OOMKills()
	for {
		if err := printJSON(event{"stats", id, d.Groups.Stats()}, ""); err != nil || once {
			return err
		}
		for next := time.Now().Add(interval); time.Now().Before(next); time.Sleep(min(interval, 200*time.Millisecond)) {
			if now := d.Groups.OOMKills(); now > killed {
				killed = now
				if err := printJSON(event{Type: "oom", ID: id}, ""); err != nil {
					return err
				}
			}
			if d.Status() == specs.StateStopped {
				return nil
			}
		}
	}
}
