package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/registry/registrytest"
	"github.com/brig-engine/brig/internal/drill/ownengine"
)

// room is where the commands are typed: a directory with an engine, a registry on the loopback and the image box, in a
// network namespace of its own.
type room struct {
	dir    string // what commands write goes here
	engine *ownengine.Engine
	env    []string
	docker bool // the client is installed
}

// noDocker is a reason of test/skips.txt.
const noDocker = "missing: docker client"

// patience is how long one command may take, and late the exit status of one that takes longer.
const (
	patience = 30 * time.Second
	late     = 124
)

// execute types the commands of the rows, in order. What each answered is noted in its step.
func execute(ctx context.Context, bin string, rows []*row) error {
	return apart(func() (err error) {
		r, err := open(ctx, bin)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.close()) }()
		for _, row := range rows {
			for _, s := range row.steps {
				if err := r.try(ctx, s); err != nil {
					return fmt.Errorf("%s: %s: %w", row.id, s.command, err)
				}
			}
		}
		return nil
	})
}

// apart runs f in a new network namespace. Whatever f starts from its own goroutine is born there.
func apart(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("network namespace: %w", err)
			return
		}
		if err := ownengine.LoopbackUp(); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// open starts everything.
func open(ctx context.Context, bin string) (r *room, err error) {
	r = &room{}
	if r.dir, err = os.MkdirTemp("", "brig-survey-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if err := serveRegistry(ctx); err != nil {
		return nil, err
	}
	if r.engine, err = ownengine.Start(ctx, bin, io.Discard); err != nil {
		return nil, err
	}
	if err := r.furnish(); err != nil {
		return nil, err
	}
	return r, nil
}

// furnish makes `brig` and `docker` mean this engine, and imports the image box.
func (r *room) furnish() error {
	_, err := exec.LookPath("docker")
	r.docker = err == nil
	programs := filepath.Join(r.dir, "bin")
	address := "unix://" + r.engine.Socket
	r.env = []string{"PATH=" + programs + ":" + os.Getenv("PATH"), "HOME=" + r.dir, "TERM=dumb", "LC_ALL=C",
		"BRIG_HOST=" + address, "DOCKER_HOST=" + address, "DOCKER_CONFIG=" + r.dir}
	box, err := boxTar()
	if err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(programs, 0o755),
		os.WriteFile(filepath.Join(programs, "brig"), []byte(r.wrapper()), 0o755),
		os.Symlink(filepath.Join(filepath.Dir(r.engine.Brig), "brig-oci"), filepath.Join(programs, "brig-oci")),
		os.WriteFile(filepath.Join(r.dir, "rootfs.tar"), box, 0o644)); err != nil {
		return err
	}
	out, status, err := r.shell(context.Background(), "brig import --change 'ENV PATH=/bin' --change 'CMD [\"sh\"]' rootfs.tar box")
	if err == nil && status != 0 {
		err = fmt.Errorf("import box: %s", out)
	}
	return err
}

// wrapper is brig for an engine that is not at the usual place: `brig engine` finds that by options only.
func (r *room) wrapper() string {
	run := filepath.Dir(r.engine.Socket)
	return fmt.Sprintf(`#!/bin/sh
verb=$2
case "$1 $2" in
"engine start") shift 2; exec %[1]s engine start --root %[2]s --run %[3]s "$@" ;;
"engine "*) shift 2; exec %[1]s engine "$verb" --run %[3]s "$@" ;;
esac
exec %[1]s "$@"
`, r.engine.Brig, filepath.Dir(run), run)
}

// close ends the engine and removes everything.
func (r *room) close() (err error) {
	if r.engine != nil {
		// What still runs would be asked to end first, and given its ten seconds.
		_, _, err = r.shell(context.Background(), "brig rm -f $(brig ps -aq)")
		left, stopErr := r.engine.Stop()
		if err = errors.Join(err, stopErr); len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("left behind: %v", left))
		}
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// serveRegistry serves an empty registry where commands say 127.0.0.1:5000.
func serveRegistry(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:5000")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: &registrytest.Registry{
		Manifests: map[string]registrytest.Manifest{}, Blobs: map[string][]byte{}}}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(l) // ends with Close
	return nil
}

// callsDocker finds the client as a command of a line, not as a word in it.
var callsDocker = regexp.MustCompile(`(^|[|&;(] ?|\bdo |=\S+ )docker `)

// try types one command.
func (r *room) try(ctx context.Context, s *step) error {
	switch {
	case s.command == "":
		return nil
	case !r.docker && callsDocker.MatchString(s.command):
		s.skipped = noDocker
		return nil
	}
	out, status, err := r.shell(ctx, s.command)
	s.got = &answer{clean(out), status}
	return err
}

// onTerminal finds commands that ask for a terminal, and so must be typed at one.
var onTerminal = regexp.MustCompile(` -(i?t|ti) `)

// shell runs a command line and returns both outputs, in their order, and the exit status. What a program in a container writes to
// both has no order outside of it, where they are two streams: a command of the page has it write to one (2>&1).
func (r *room) shell(ctx context.Context, line string) (out string, status int, err error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(limited, "/bin/sh", "-c", line)
	cmd.Dir, cmd.Env, cmd.WaitDelay = r.dir, slices.Clone(r.env), time.Second
	if onTerminal.MatchString(line) {
		out, err = typed(cmd)
	} else {
		var both bytes.Buffer
		cmd.Stdout, cmd.Stderr = &both, &both
		err = cmd.Run()
		out = both.String()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out, 0, ctx.Err()
	case limited.Err() != nil:
		return fmt.Sprintf("%snot done within %s\n", out, patience), late, nil
	case errors.As(err, &exit):
		return out, exit.ExitCode(), nil
	}
	return out, 0, err
}

// typed runs a command at a terminal.
func typed(cmd *exec.Cmd) (string, error) {
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 250})
	if err != nil {
		return "", err
	}
	defer terminal.Close()
	var out strings.Builder
	io.Copy(&out, terminal) // ends with an error when the last one has closed the terminal
	return out.String(), cmd.Wait()
}
