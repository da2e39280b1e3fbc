package oci

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/cgroup"
	"github.com/brig-engine/brig/internal/oci/config"
	"github.com/brig-engine/brig/internal/oci/hook"
	"github.com/brig-engine/brig/internal/oci/state"
)

// options are those of create and run.
type options struct {
	bundle, console, pidFile, pidfdSocket string
	noPivot, noKeyring                    bool
	fds                                   int
}

func (o *options) declare(f *flag.FlagSet) {
	f.StringVar(&o.bundle, "bundle", ".", "directory with config.json")
	f.StringVar(&o.bundle, "b", ".", "short for bundle")
	f.StringVar(&o.console, "console-socket", "", "socket that the terminal is sent to")
	f.StringVar(&o.pidFile, "pid-file", "", "file that gets the process's number")
	f.StringVar(&o.pidfdSocket, "pidfd-socket", "", "socket that a descriptor of the process is sent to")
	f.BoolVar(&o.noPivot, "no-pivot", false, "cover the host's root, and do not leave it")
	f.BoolVar(&o.noKeyring, "no-new-keyring", false, "keep the caller's session keyring")
	f.IntVar(&o.fds, "preserve-fds", 0, "how many descriptors from 3 on the container gets")
}

func setupCreate(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var o options
	o.declare(f)
	return func(args []string) (int, error) {
		id, err := one(args)
		if err != nil {
			return 0, err
		}
		c, err := a.create(id, &o, true)
		if err != nil {
			return 0, fmt.Errorf("create failed: unable to start container process: %w", err)
		}
		defer c.end()
		unix.Close(c.running.Leave())
		return 0, nil
	}
}

// container is one that is being made.
type container struct {
	*state.Dir
	a       *app
	o       *options
	spec    *specs.Spec
	fds     descriptors
	running *birth.Running
	grouped bool         // its control groups are its own
	waiting *clone.Child // in its scope
	wait    bool         // for start
	master  int          // of the terminal, if nobody else has it; -1
}

// create makes a container up to the moment when its program is known to be there, and writes it down. It waits at the
// FIFO then, or at its last gate for this process. After an error nothing is left.
func (a *app) create(id string, o *options, wait bool) (made *container, err error) {
	c := &container{a: a, o: o, wait: wait, fds: descriptors{}, master: -1}
	if o.bundle, err = filepath.Abs(o.bundle); err != nil {
		return nil, err
	}
	if c.spec, err = config.Read(o.bundle); err != nil {
		return nil, err
	}
	if err = c.checkTerminal(); err != nil {
		return nil, err
	}
	if c.Dir, err = state.Create(a.root, id); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.destroy()
		}
	}()
	if err = c.describe(); err != nil {
		return nil, err
	}
	cgroupDir, tasks, err := c.enterGroups()
	if err != nil {
		return nil, err
	}
	child, err := fork(cgroupDir) // while all that it needs is prepared
	if err != nil {
		return nil, err
	}
	list, err := c.plan(tasks)
	if err != nil {
		child.Kill()
		return nil, err
	}
	if c.running, err = list.Begin(child, c.fds); err != nil {
		return nil, err
	}
	if err = c.settle(); err == nil {
		err = c.accept()
	}
	if err != nil {
		c.running.Kill()
		return nil, err
	}
	return c, nil
}

// describe is what is known before anything is made.
func (c *container) describe() error {
	s := c.spec
	root := s.Root.Path
	if !filepath.IsAbs(root) {
		root = filepath.Join(c.o.bundle, root)
	}
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return fmt.Errorf("root.path: %w", err)
	}
	place := cgroup.Place
	if c.a.systemd {
		place = cgroup.PlaceScope
	}
	groups, err := place(s.Linux.CgroupsPath, c.ID)
	if err != nil {
		return err
	}
	c.Record = state.Record{Version: specs.Version, ID: c.ID, Creating: true, Bundle: c.o.bundle, Root: root, Created: time.Now(),
		Annotations: s.Annotations, Groups: groups, OwnPIDs: config.New(s.Linux, specs.PIDNamespace), NoPivot: c.o.noPivot, NoKeyring: c.o.noKeyring,
		Process: s.Process, Hooks: s.Hooks}
	return c.Write() // so that whoever finds what a death of this process has left knows where it is
}

// enterGroups makes the control groups and opens them for the child.
func (c *container) enterGroups() (dir int, tasks []int, err error) {
	var r specs.LinuxResources
	if c.spec.Linux.Resources != nil {
		r = *c.spec.Linux.Resources
	}
	if c.Groups.Unit != "" {
		r.Pids, err = nil, c.enterScope(r.Devices) // one process more is in there, so far
	}
	if err == nil {
		err = c.Groups.Create()
	}
	if err == nil {
		c.grouped = true
		err = set(c.Groups, &r)
	}
	if err == nil {
		err = c.Groups.SetDevices(r.Devices)
	}
	if err == nil {
		err = c.giveGroups()
	}
	if err != nil {
		return 0, nil, err
	}
	return c.Groups.Attach(0)
}

// accept leads the child through its gates.
func (c *container) accept() (err error) {
	for _, m := range c.copied() {
		if err = c.copyUp(m); err != nil {
			return err
		}
	}
	if err = c.running.Await(); err != nil {
		return err
	}
	c.PID = c.running.PID
	c.Began, _ = state.Began(c.PID)
	if err = checkMounts(c.PID, c.Root); err != nil {
		return err
	}
	if c.spec.Process.Terminal {
		if err = c.terminal(); err != nil {
			return err
		}
	}
	if err = c.Write(); err != nil {
		return err
	}
	if err = c.hooks(); err != nil {
		return err
	}
	if err = c.running.Pass(); err != nil {
		return err
	}
	if err = hear(listenerOf(c.Filters), c.running, c.OCI(specs.StateCreating)); err != nil {
		return err
	}
	if err = c.running.Await(); err != nil {
		return err
	}
	c.Creating = false
	if err = c.Write(); err != nil {
		return err
	}
	if err = c.tell(); err != nil || !c.wait {
		return err
	}
	return c.running.Pass()
}

// hooks runs those of a container that is built and not yet pivoted.
func (c *container) hooks() error {
	h := c.spec.Hooks
	if h == nil {
		return nil
	}
	told := c.OCI(specs.StateCreated)
	if err := hook.Run("prestart", h.Prestart, told); err != nil { // deprecated, and what Docker uses
		return err
	}
	if err := hook.Run("createRuntime", h.CreateRuntime, told); err != nil {
		return err
	}
	return c.a.insideHooks(c.Dir, "createContainer", h.CreateContainer, told)
}

// tell gives the process's number, and a descriptor of it, to who asked for it.
func (c *container) tell() error {
	if c.o.pidFile != "" {
		if err := state.Replace(c.o.pidFile, []byte(strconv.Itoa(c.PID)), 0o644); err != nil {
			return fmt.Errorf("write the pid file: %w", err)
		}
	}
	if c.o.pidfdSocket == "" {
		return nil
	}
	fd, err := c.Open1()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return sendTo(c.o.pidfdSocket, "pidfd", fd)
}

// end gives back what this process has.
func (c *container) end() {
	c.fds.close()
	c.Close()
	clone.End()
}

// destroy removes what was made.
func (c *container) destroy() {
	c.fds.close()
	if c.running != nil {
		c.running.Kill()
	}
	if c.waiting != nil {
		c.waiting.Kill()
	}
	if c.grouped { // or they are somebody else's
		err := errors.Join(c.Groups.Signal(unix.SIGKILL), removeGroups(c.Groups))
		if err != nil {
			c.a.warn("%v", err)
		}
	}
	if c.Dir != nil {
		if err := c.Remove(); err != nil {
			c.a.warn("%v", err)
		}
	}
	clone.End()
}

// descriptors are what a list names, without the angle brackets.
type descriptors map[string]int

func (d descriptors) close() {
	for name, fd := range d {
		if fd > 2 {
			unix.Close(fd)
		}
		delete(d, name)
	}
}
