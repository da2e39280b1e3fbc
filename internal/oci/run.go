package oci

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/oci/hook"
)

func setupRun(a *app, f *flag.FlagSet) func([]string) (int, error) {
	var o options
	o.declare(f)
	var detach, keep, noSubreaper bool
	f.BoolVar(&detach, "detach", false, "do not wait for the end")
	f.BoolVar(&detach, "d", false, "short for detach")
	f.BoolVar(&keep, "keep", false, "keep the state after the end")
	f.BoolVar(&noSubreaper, "no-subreaper", false, "leave orphans of the container to somebody else")
	return func(args []string) (int, error) {
		id, err := one(args)
		if err != nil {
			return 0, err
		}
		status, err := a.run(id, &o, detach, keep, noSubreaper)
		if err != nil {
			err = fmt.Errorf("run failed: unable to start container process: %w", err)
		}
		return status, err
	}
}

func (a *app) run(id string, o *options, detach, keep, noSubreaper bool) (status int, err error) {
	var signals chan os.Signal
	if !detach {
		signals = listen()
		if !noSubreaper {
			_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // of a container without a pid namespace orphans come here
		}
	}
	c, err := a.create(id, o, false)
	if err != nil {
		return 0, err
	}
	if detach && c.master >= 0 {
		c.destroy()
		return 0, fmt.Errorf("a detached process with a terminal needs --console-socket")
	}
	fd, err := c.begin()
	if err != nil {
		c.destroy()
		return 0, err
	}
	c.end()
	defer unix.Close(fd)
	if detach {
		return 0, nil
	}
	status, err = wait(fd, c.master, signals)
	if err == nil && !keep {
		err = a.remove(id, false)
	}
	return status, err
}

// begin has the program executed, with the hooks around that.
func (c *container) begin() (fd int, err error) {
	if h := c.spec.Hooks; h != nil {
		if err = c.a.startHooks(c.Dir, h.StartContainer); err != nil {
			return -1, err
		}
	}
	if err = c.running.Pass(); err != nil {
		return -1, err
	}
	if fd, err = c.running.Done(); err != nil {
		return -1, err
	}
	if h := c.spec.Hooks; h != nil {
		if err = hook.Run("poststart", h.Poststart, c.OCI(specs.StateRunning)); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// listen takes every signal that can be passed on.
func listen() chan os.Signal {
	c := make(chan os.Signal, 64)
	signal.Notify(c)
	signal.Reset(unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE)
	return c
}

// wait passes signals on until the process has ended, and gives its exit status.
func wait(fd, master int, signals chan os.Signal) (int, error) {
	resize, restore := func() {}, func() {}
	var done chan struct{}
	if master >= 0 {
		resize, restore, done = relay(master)
	}
	defer restore()
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				if s == unix.SIGWINCH && master >= 0 {
					resize()
				} else if s != unix.SIGCHLD && s != unix.SIGURG && s != unix.SIGPIPE {
					_ = pidfd.Signal(fd, s.(unix.Signal)) // of a process that has ended
				}
			case <-ended:
				return
			}
		}
	}()
	status, err := pidfd.Wait(fd, false)
	close(ended)
	if done != nil {
		select { // what it has written last
		case <-done:
		case <-time.After(time.Second): // others have the terminal
		}
	}
	return status.ExitCode(), err
}
