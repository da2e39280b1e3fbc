package oci

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/oci/hook"
	"github.com/brig-engine/brig/internal/oci/state"
)

func setupKill(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var all bool
	f.BoolVar(&all, "all", false, "signal every process of the container")
	f.BoolVar(&all, "a", false, "short for all")
	return func(args []string) (int, error) {
		if len(args) == 1 {
			args = append(args, "TERM")
		}
		if len(args) != 2 {
			return 0, errors.New("kill takes the id of a container and a signal")
		}
		sig, err := parseSignal(args[1])
		if err != nil {
			return 0, err
		}
		return 0, a.kill(args[0], sig, all)
	}
}

func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("signal %d is not from 1 to 64", n)
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

func (a *app) kill(id string, sig unix.Signal, all bool) error {
	d, err := state.Look(a.root, id) // who works on it may be waiting for a hook, which a signal to the container can end
	if err != nil {
		return err
	}
	fd, err := d.Open1()
	if all || err == nil && sig == unix.SIGKILL && !d.OwnPIDs { // its other processes do not end with the first
		if err == nil {
			unix.Close(fd)
		}
		return d.Groups.Signal(sig)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return pidfd.Signal(fd, sig)
}

func setupDelete(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var force bool
	f.BoolVar(&force, "force", false, "kill it first, if it has not ended")
	f.BoolVar(&force, "f", false, "short for force")
	return func(args []string) (int, error) {
		id, err := one(args)
		if err == nil {
			err = a.remove(id, force)
		}
		return 0, err
	}
}

// remove removes what is left of a container.
func (a *app) remove(id string, force bool) error {
	d, err := state.Open(a.root, id)
	if errors.Is(err, fs.ErrNotExist) && force {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	switch status := d.Status(); {
	case status == specs.StateStopped:
	case force:
		if err := end(d); err != nil {
			return err
		}
	default:
		return fmt.Errorf("cannot delete container %s that is not stopped: %s", id, status)
	}
	if !d.OwnPIDs || force { // others may have stayed
		if err := d.Groups.Signal(unix.SIGKILL); err != nil {
			return err
		}
	}
	if err := removeGroups(d.Groups); err != nil {
		return err
	}
	hooks, told := d.Hooks, d.OCI(specs.StateStopped)
	if err := d.Remove(); err != nil {
		return err
	}
	if hooks != nil {
		for _, h := range hooks.Poststop { // each is run, whatever became of the others
			if err := hook.Run("poststop", []specs.Hook{h}, told); err != nil {
				a.warn("%v", err)
			}
		}
	}
	return nil
}

func thaw(d *state.Dir) error {
	if d.Groups.Ours() && d.Groups.Frozen() {
		if err := d.Groups.Freeze(false); d.Groups.Ours() { // a scope may be gone with its last process
			return err
		}
	}
	return nil
}

// end kills the first process, thaws the others so that they see it, and waits.
func end(d *state.Dir) error {
	fd, err := d.Open1()
	if err != nil {
		return thaw(d) // it has ended by itself, or was never born
	}
	defer unix.Close(fd)
	if err := pidfd.Signal(fd, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	if err := thaw(d); err != nil {
		return err
	}
	if ended, err := pidfd.Ended(fd, 10*time.Second); err != nil || !ended {
		return errors.New("the container does not end")
	}
	return nil
}

func setupPause(a *app, _ *flag.FlagSet) func([]string) (int, error) {
	return func(args []string) (int, error) { return 0, a.freeze(args, true) }
}

func setupResume(a *app, _ *flag.FlagSet) func([]string) (int, error) {
	return func(args []string) (int, error) { return 0, a.freeze(args, false) }
}

func (a *app) freeze(args []string, on bool) error {
	id, err := one(args)
	if err != nil {
		return err
	}
	d, err := state.Open(a.root, id)
	if err != nil {
		return err
	}
	defer d.Close()
	switch status := d.Status(); {
	case on && status != specs.StateRunning && status != specs.StateCreated:
		return fmt.Errorf("container not running: %s", status)
	case !on && status != state.Paused:
		return fmt.Errorf("container not paused: %s", status)
	}
	return d.Groups.Freeze(on)
}
