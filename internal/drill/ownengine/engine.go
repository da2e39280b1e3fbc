// Package ownengine starts a Brig in a directory of its own, and sweeps what is left of it: for a drill that must not
// touch the engine which people work with.
//
// Zone: the drill. Input: the directory of built programs. Output: none but the engine. Answers: none.
package ownengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/brig-engine/brig/internal/cli/launch/groups"
)

// Engine is a Brig with a directory, and so with kernel names, of its own.
type Engine struct {
	Brig   string // path of the command line that belongs to it
	Socket string // path of its API

	dir, run string
	instance string // what its kernel names derive from
}

const (
	startDeadline = 30 * time.Second
	stopDeadline  = 90 * time.Second
)

// Start starts the engine whose programs are in bin, and shows its command line, if somebody wants to see it.
func Start(ctx context.Context, bin string, show io.Writer) (*Engine, error) {
	dir, err := os.MkdirTemp("", "brig-run-")
	if err != nil {
		return nil, err
	}
	brig, err := filepath.Abs(filepath.Join(bin, "brig"))
	if err != nil {
		return nil, err
	}
	e := &Engine{Brig: brig, dir: dir, run: filepath.Join(dir, "run"), instance: groups.Instance(dir)}
	e.Socket = filepath.Join(e.run, "brig.sock")
	if err := os.Mkdir(e.run, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	args := []string{"engine", "start", "--root", e.dir, "--run", e.run, "--socket", e.Socket}
	fmt.Fprintln(show, "+", ShellLine(append([]string{brig}, args...)))
	out, err := exec.CommandContext(ctx, brig, args...).CombinedOutput()
	if err == nil {
		return e, nil
	}
	log, _ := os.ReadFile(filepath.Join(e.run, "engine.log"))
	err = fmt.Errorf("the engine did not start: %w\n%s%s", err, out, tail(log, 4000))
	// There may be nothing to stop any more; only what is left then is news.
	if left, stopErr := e.Stop(); len(left) > 0 {
		err = errors.Join(err, stopErr, fmt.Errorf("left behind: %v", left))
	}
	return nil, err
}

// Bring gives the engine, which is new and has nothing, what is on this machine: the archive of an image, or of a root
// file system. Any other name is that of an image, and run pulls it.
func (e *Engine) Bring(image string) (name string, err error) {
	if _, err := os.Stat(image); err != nil {
		return image, nil
	}
	brig := func(args ...string) (string, error) {
		out, err := exec.Command(e.Brig, append([]string{"--host", "unix://" + e.Socket}, args...)...).CombinedOutput()
		if err != nil {
			return "", errors.New(string(bytes.TrimSpace(out)))
		}
		lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
		return lines[len(lines)-1], nil
	}
	loaded, loadErr := brig("load", "-q", "-i", image)
	if loadErr == nil {
		_, name, _ = strings.Cut(loaded, ": ") // Loaded image: NAME, or Loaded image ID: sha256:…
		return name, nil
	}
	if name, err = brig("import", image); err != nil {
		return "", fmt.Errorf("%s is neither an image (%w) nor a root file system (%w)", image, loadErr, err)
	}
	return name, nil
}

// tail is the end of a log, whole lines, at most n bytes.
func tail(log []byte, n int) []byte {
	if len(log) <= n {
		return log
	}
	log = log[len(log)-n:]
	if i := bytes.IndexByte(log, '\n'); i >= 0 {
		log = log[i+1:]
	}
	return log
}

// Stop ends the engine, by force if it must, removes its directory, and says what of it is still there.
func (e *Engine) Stop() (left []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), stopDeadline)
	defer cancel()
	if _, statErr := os.Stat(filepath.Join(e.run, "keeper.pid")); statErr == nil {
		out, stopErr := exec.CommandContext(ctx, e.Brig, "engine", "stop", "--run", e.run).CombinedOutput()
		if stopErr != nil {
			err = fmt.Errorf("stop the engine: %w: %s", stopErr, bytes.TrimSpace(out))
			exec.CommandContext(ctx, e.Brig, "engine", "stop", "--force", "--run", e.run).Run()
		}
	}
	// What ends asynchronously (cgroups, interfaces of dead namespaces) gets a moment.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if left = e.remains(); len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	if len(mountsBelow(e.dir)) > 0 {
		return left, err // deleting would reach through a mount
	}
	if removeErr := os.RemoveAll(e.dir); removeErr != nil {
		err = errors.Join(err, removeErr)
	}
	return left, err
}

// remains looks for everything in the kernel that bears the engine's name or holds its directory.
func (e *Engine) remains() []string {
	left := append(processesOf(e.dir), mountsBelow(e.dir)...)
	links, err := netlink.LinkList()
	if err != nil {
		left = append(left, "interfaces cannot be listed: "+err.Error())
	}
	for _, l := range links {
		if name := l.Attrs().Name; strings.HasPrefix(name, e.instance) {
			left = append(left, "interface "+name)
		}
	}
	tables, err := tablesNamed(e.instance)
	if err != nil {
		left = append(left, "firewall tables cannot be listed: "+err.Error())
	}
	left = append(left, tables...)
	return append(left, cgroupsNamed(e.instance)...)
}
