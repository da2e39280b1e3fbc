// Command peers drills Brig and the engines that people know, one after the other, and writes what it found as a page.
//
//	peers [-bin DIR] [-write FILE] [-only NAME,NAME] [-probes ID,ID] [-dir DIR] [-install]
//
// The engines are Brig, Debian's docker.io and podman, and the newest moby that builds from the Go module proxy. Each
// lives in a room of its own (test/room) with nothing but its defaults; the drill runs in the room, too, as brig drill
// would on a host. A peer that is missing is a line that says so; -install fetches them first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/brig-engine/brig/test/room"
)

// options are the command line.
type options struct {
	bin, dir, write, only, probes string
	install                       bool
}

func main() {
	room.Main()
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "directory, on a disk, for the state of all engines")
	flag.StringVar(&o.write, "write", "", "also write the page to this file (docs/drill.md)")
	flag.StringVar(&o.only, "only", "", "drill only these engines (names with commas)")
	flag.StringVar(&o.probes, "probes", "", "try only these attacks or probes (with commas)")
	flag.BoolVar(&o.install, "install", false, "fetch and build the peers first")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := o.run(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("engines are started, so this needs root. Next: repeat the command with sudo")
	}
	peers, err := room.FindPeers()
	if err != nil {
		return err
	}
	if o.install {
		if err := peers.Install(ctx); err != nil {
			return err
		}
	}
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "brig-peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { // daemons that are not root pass through it
		return err
	}
	if bin, err = peers.CopyInto(dir, bin); err != nil {
		return err
	}
	s := &session{bin: bin, dir: dir, peers: peers, probes: o.probes}
	page, err := s.page(ctx, o.wanted)
	if err != nil {
		return err
	}
	text := page.markdown()
	fmt.Print(text)
	if o.write == "" {
		return nil
	}
	return os.WriteFile(o.write, []byte(text), 0o644)
}

// wanted says whether an engine was named by -only.
func (o *options) wanted(name string) bool {
	if o.only == "" {
		return true
	}
	for only := range strings.SplitSeq(o.only, ",") {
		if strings.TrimSpace(only) == name {
			return true
		}
	}
	return false
}
