package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/kernel/memfile"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/hook"
	"github.com/brig-engine/brig/internal/oci/state"
)

func setupStart(a *app, _ *flag.FlagSet) func([]string) (int, error) {
	return func(args []string) (int, error) {
		id, err := one(args)
		if err != nil {
			return 0, err
		}
		return 0, a.start(id)
	}
}

func (a *app) start(id string) error {
	d, err := state.Open(a.root, id)
	if err != nil {
		return err
	}
	defer d.Close()
	switch status := d.Status(); status {
	case specs.StateCreated:
	case specs.StateStopped:
		return errors.New("cannot start a container that has stopped")
	default:
		return fmt.Errorf("cannot start a container in the %s state", status)
	}
	h := d.Hooks
	if h == nil {
		return d.Start()
	}
	defer clone.End()
	if err = a.startHooks(d, h.StartContainer); err == nil {
		err = d.Start()
	}
	if err == nil {
		err = hook.Run("poststart", h.Poststart, d.OCI(specs.StateRunning))
	}
	if err != nil { // a hook that fails ends the container
		if fd, openErr := d.Open1(); openErr == nil {
			_ = pidfd.Signal(fd, unix.SIGKILL)
			_, _ = pidfd.Ended(fd, time.Second)
			unix.Close(fd)
		}
	}
	return err
}

// insideHooks runs programs of the host in the namespaces of a container that is not pivoted yet.
func (a *app) insideHooks(d *state.Dir, kind string, list []specs.Hook, told *specs.State) error {
	for i, h := range list {
		spaces, err := foreign(d.PID)
		if err == nil {
			err = a.inside(d, &h, told, nil, birth.Hook(spaces, h.Path, hook.Args(&h), hook.Env(&h)))
		}
		if err != nil {
			return fmt.Errorf("%s hook #%d: %s: %w", kind, i, h.Path, err)
		}
	}
	return nil
}

// startHooks runs programs of the container, which are a stranger's: with the rights and the confinement of its own process.
func (a *app) startHooks(d *state.Dir, list []specs.Hook) error {
	told := d.OCI(specs.StateCreated)
	for i, h := range list {
		e, err := a.entry(d, d.Process)
		if err == nil {
			e.Process.Args, e.Process.Env = hook.Args(&h), hook.Env(&h)
			e.Process.Terminal, e.Process.Piped = false, true
			if e.Process.Args[0] != h.Path { // it is found by its path
				e.Process.Args = append([]string{h.Path}, e.Process.Args[1:]...)
			}
			err = a.inside(d, &h, told, e, nil)
		}
		if err != nil {
			return fmt.Errorf("startContainer hook #%d: %s: %w", i, h.Path, err)
		}
	}
	return nil
}

// inside has a hook executed in the container and waits for it: one of the host by its list, one of the container as an entry,
// in its control groups. It reads the state and writes into files in memory.
func (a *app) inside(d *state.Dir, h *specs.Hook, told *specs.State, e *birth.Entry, l *birth.List) error {
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	in, out, err := files(text)
	if err != nil {
		return err
	}
	defer in.Close()
	defer out.Close()
	fds := descriptors{}
	defer fds.close()
	child, l, err := a.forkHook(d, e, l, fds)
	if err != nil {
		return err
	}
	given := maps.Clone(fds)
	given["stdin"], given["stderr"] = int(in.Fd()), int(out.Fd())
	r, err := l.Begin(child, given)
	if err != nil {
		return err
	}
	fd, err := r.Done()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	patience := 10 * time.Minute
	if h.Timeout != nil {
		patience = time.Duration(*h.Timeout) * time.Second
	}
	if ended, err := pidfd.Ended(fd, patience); err != nil || !ended {
		_ = pidfd.Signal(fd, unix.SIGKILL)
		_, _ = pidfd.Wait(fd, false)
		return fmt.Errorf("not done in %s", patience)
	}
	status, err := pidfd.Wait(fd, false)
	if err == nil && status.ExitCode() != 0 {
		err = fmt.Errorf("exit status %d", status.ExitCode())
	}
	printed := make([]byte, 2000)
	n, _ := out.ReadAt(printed, 0)
	return hook.Explain(err, string(printed[:n]))
}

// forkHook makes the child that becomes a hook, and the list that it carries out.
func (a *app) forkHook(d *state.Dir, e *birth.Entry, l *birth.List, fds descriptors) (child *clone.Child, _ *birth.List, err error) {
	if e == nil {
		if fds["pid1"], err = d.Open1(); err == nil {
			child, err = fork(0)
		}
		return child, l, err
	}
	if child, err = forkInto(d, e, fds); err != nil {
		return nil, nil, err
	}
	if l, err = a.openEntry(d, e, fds); err != nil {
		child.Kill()
	}
	return child, l, err
}

func files(text []byte) (in, out *os.File, err error) {
	if in, err = memfile.Seal("state", bytes.NewReader(text)); err != nil {
		return nil, nil, err
	}
	if _, err = in.Seek(0, 0); err == nil {
		var fd int
		if fd, err = unix.MemfdCreate("output", unix.MFD_CLOEXEC); err == nil {
			return in, os.NewFile(uintptr(fd), "output"), nil
		}
	}
	in.Close()
	return nil, nil, err
}
