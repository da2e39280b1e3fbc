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
	"time"

	"github.com/brig-engine/brig/test/room"
)

// options are the command line.
type options struct {
	bin, dir, write, only string
	rounds, idle, large   int
	lasts                 time.Duration
	install               bool
}

func main() {
	room.Main()
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "directory, on a disk, for the state of all engines")
	flag.StringVar(&o.write, "write", "", "also write the tables to this file (docs/performance.md)")
	flag.StringVar(&o.only, "only", "", "measure only these engines (names with commas)")
	flag.IntVar(&o.rounds, "rounds", 25, "how often each command line is timed")
	flag.DurationVar(&o.lasts, "lasts", 2*time.Second, "how long each window of a rate lasts")
	flag.IntVar(&o.idle, "idle", 200, "idle containers when memory is measured; 0 leaves memory out")
	flag.IntVar(&o.large, "large", 400, "size of the large image in MB; 0 leaves it out")
	flag.BoolVar(&o.install, "install", false, "fetch and build the peers first")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := o.run(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("engines are started, so this needs root. Next: sudo make bench")
	}
	if o.rounds < 1 || o.idle < 0 || o.large < 0 || o.lasts <= 0 {
		return errors.New("-rounds and -lasts must be positive, -idle and -large not negative")
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
	dir, err := os.MkdirTemp(o.dir, "brig-bench-")
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
	s, err := newSession(dir, bin, peers, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.measure(ctx); err != nil {
		return err
	}
	return o.print(s.report())
}

// print shows the report, and keeps it where it was asked for.
func (o *options) print(r *report) error {
	text := r.markdown()
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
