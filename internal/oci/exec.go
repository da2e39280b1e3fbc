package oci

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/config"
	"github.com/brig-engine/brig/internal/oci/state"
)

// execOptions are those of exec.
type execOptions struct {
	process, console, pidFile, cwd, user, apparmor, label string
	detach, tty, noNewPrivs                               bool
	env, caps, groups                                     words
	fds                                                   int
}

func setupExec(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var o execOptions
	for _, s := range []struct {
		to         *string
		name, help string
	}{
		{&o.process, "process", "file with the process, in the form of the configuration"}, {&o.process, "p", "short for process"},
		{&o.console, "console-socket", "socket that the terminal is sent to"}, {&o.pidFile, "pid-file", "file that gets the process's number"},
		{&o.cwd, "cwd", "working directory"}, {&o.user, "user", "UID[:GID]"}, {&o.user, "u", "short for user"},
		{&o.apparmor, "apparmor", "AppArmor profile"}, {&o.label, "process-label", "SELinux label"},
	} {
		f.StringVar(s.to, s.name, "", s.help)
	}
	for _, b := range []struct {
		to         *bool
		name, help string
	}{
		{&o.detach, "detach", "do not wait for the end"}, {&o.detach, "d", "short for detach"}, {&o.tty, "tty", "give it a terminal"},
		{&o.tty, "t", "short for tty"}, {&o.noNewPrivs, "no-new-privs", "it gains no privileges by what it executes"},
	} {
		f.BoolVar(b.to, b.name, false, b.help)
	}
	f.Var(&o.env, "env", "NAME=value")
	f.Var(&o.env, "e", "short for env")
	f.Var(&o.caps, "cap", "a capability more")
	f.Var(&o.caps, "c", "short for cap")
	f.Var(&o.groups, "additional-gids", "a group more")
	f.Var(&o.groups, "g", "short for additional-gids")
	f.IntVar(&o.fds, "preserve-fds", 0, "how many descriptors from 3 on the process gets")
	return func(args []string) (int, error) {
		if len(args) == 0 {
			return 0, errors.New("exec failed: which container?")
		}
		status, err := a.exec(args[0], args[1:], &o)
		if err != nil {
			err = fmt.Errorf("exec failed: unable to start container process: %w", err)
		}
		return status, err
	}
}

func (a *app) exec(id string, args []string, o *execOptions) (int, error) {
	d, err := state.Open(a.root, id)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	switch d.Status() {
	case specs.StateRunning, specs.StateCreated:
	case state.Paused: // it would be frozen before it has executed anything (T10)
		return 0, errors.New("cannot exec in a paused container. Next: brig-oci resume " + id)
	default:
		return 0, errors.New("cannot exec in a stopped container")
	}
	process, err := o.compose(d.Process, args)
	if err != nil {
		return 0, err
	}
	if o.console != "" && !process.Terminal || o.console == "" && process.Terminal && o.detach {
		return 0, errors.New("--console-socket belongs to a detached process with a terminal")
	}
	var signals chan os.Signal
	if !o.detach {
		signals = listen()
	}
	fd, master, err := a.enter(d, process, o)
	clone.End()
	if err != nil {
		return 0, err
	}
	d.Close()
	defer unix.Close(fd)
	if o.detach {
		return 0, nil
	}
	return wait(fd, master, signals)
}

// enter starts a process in a container.
func (a *app) enter(d *state.Dir, process *specs.Process, o *execOptions) (fd, master int, err error) {
	e, err := a.entry(d, process)
	if err != nil {
		return -1, -1, err
	}
	fds := descriptors{}
	defer fds.close()
	if err = passOn(&e.Process, o.fds, fds); err != nil {
		return -1, -1, err
	}
	child, err := forkInto(d, e, fds)
	if err != nil {
		return -1, -1, err
	}
	l, err := a.openEntry(d, e, fds)
	if err != nil {
		child.Kill()
		return -1, -1, err
	}
	if !process.Terminal {
		giveStdio(hostUID(d.PID, e.Process.UID))
	}
	r, err := l.Begin(child, fds)
	if err != nil {
		return -1, -1, err
	}
	if fd, master, err = entered(d, r, o, process.Terminal); err != nil {
		r.Kill()
	}
	return fd, master, err
}

// entered leads a process through its gate to the program, and tells who asked for it.
func entered(d *state.Dir, r *birth.Running, o *execOptions, terminal bool) (fd, master int, err error) {
	master = -1
	if terminal {
		if err = r.Await(); err != nil {
			return -1, -1, err
		}
		if master, err = takeTerminal(r, o.console); err != nil {
			return -1, -1, err
		}
		if err = r.Pass(); err != nil {
			return -1, -1, err
		}
	}
	if err = hear(listenerOf(d.Filters), r, d.OCI(d.Status())); err != nil {
		return -1, master, err
	}
	if fd, err = r.Done(); err == nil && o.pidFile != "" {
		err = state.Replace(o.pidFile, []byte(strconv.Itoa(r.PID)), 0o644)
	}
	return fd, master, err
}

// forkInto makes a child in the container's control groups: it has its bounds, and its rules of devices.
func forkInto(d *state.Dir, e *birth.Entry, fds descriptors) (*clone.Child, error) {
	dir, tasks, err := d.Groups.Attach(d.PID)
	if err != nil {
		return nil, err
	}
	if dir > 0 {
		fds["group"] = dir // until the child is there
	}
	for i, fd := range tasks {
		fds[fmt.Sprintf("tasks%d", i)] = fd
	}
	e.Tasks = len(tasks)
	return fork(dir)
}

// openEntry opens the process whose namespaces are entered, and makes the list.
func (a *app) openEntry(d *state.Dir, e *birth.Entry, fds descriptors) (*birth.List, error) {
	fd, err := d.Open1()
	if err != nil {
		return nil, err
	}
	fds["pid1"] = fd
	if e.Chroot {
		if fds["root"], err = unix.Open(fmt.Sprintf("/proc/%d/root", d.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("open the container's root: %w", err)
		}
	}
	return birth.Exec(e)
}

// entry is what every entry into a container has in common.
func (a *app) entry(d *state.Dir, process *specs.Process) (*birth.Entry, error) {
	spaces, err := foreign(d.PID)
	if err != nil {
		return nil, err
	}
	p, err := a.process(process, d.Filters, spaces&unix.CLONE_NEWUSER != 0)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(p.Env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		if fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", d.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			home(p, fd)
			unix.Close(fd)
		}
	}
	return &birth.Entry{Namespaces: spaces, Chroot: d.NoPivot, NoKeyring: d.NoKeyring, Process: *p}, nil
}

// foreign are the namespaces of a process that are not this one's.
func foreign(pid int) (flags int, err error) {
	for _, t := range config.Namespaces() {
		name := "/ns/" + config.File(t)
		own, ownErr := os.Readlink("/proc/self" + name)
		its, err := os.Readlink(fmt.Sprintf("/proc/%d%s", pid, name))
		switch {
		case errors.Is(err, os.ErrNotExist) && ownErr != nil: // this kernel has none
		case err != nil:
			return 0, fmt.Errorf("look at the container's namespaces: %w", err)
		case own != its:
			flags |= config.Flag(t)
		}
	}
	return flags, nil
}

// hostUID is the id of the host behind one of a process's user namespace.
func hostUID(pid int, uid uint32) uint32 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", pid))
	for line := range strings.Lines(string(b)) {
		var inside, outside, size uint32
		if n, _ := fmt.Sscan(line, &inside, &outside, &size); n == 3 && uid >= inside && uid-inside < size {
			return outside + (uid - inside)
		}
	}
	return uid
}

// compose is the process of a file, or the container's own with another program.
func (o *execOptions) compose(own *specs.Process, args []string) (*specs.Process, error) {
	if o.process != "" {
		p, err := config.ReadProcess(o.process)
		if err == nil && o.tty {
			p.Terminal = true
		}
		return p, err
	}
	p := *own
	p.Args, p.Terminal, p.ConsoleSize = args, o.tty, nil
	p.Env = append(slices.Clone(p.Env), o.env...)
	p.NoNewPrivileges = p.NoNewPrivileges || o.noNewPrivs
	if o.cwd != "" {
		p.Cwd = o.cwd
	}
	if o.apparmor != "" {
		p.ApparmorProfile = o.apparmor
	}
	if o.label != "" {
		p.SelinuxLabel = o.label
	}
	if len(o.caps) > 0 {
		c := specs.LinuxCapabilities{}
		if p.Capabilities != nil {
			c = *p.Capabilities
		}
		for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted} {
			*set = append(slices.Clone(*set), o.caps...)
		}
		p.Capabilities = &c
	}
	if o.user != "" {
		uid, gid, _ := strings.Cut(o.user, ":")
		u, err := strconv.ParseUint(uid, 10, 32)
		g := uint64(p.User.GID)
		if err == nil && gid != "" {
			g, err = strconv.ParseUint(gid, 10, 32)
		}
		if err != nil {
			return nil, fmt.Errorf("--user %q is no UID[:GID]", o.user)
		}
		p.User.UID, p.User.GID = uint32(u), uint32(g)
	}
	for _, g := range o.groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--additional-gids %q is no number", g)
		}
		p.User.AdditionalGids = append(slices.Clone(p.User.AdditionalGids), uint32(n))
	}
	return &p, config.CheckProcess(&p)
}
