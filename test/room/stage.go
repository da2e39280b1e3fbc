package room

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
)

// Stage is what a command that starts engines beside each other has of its command line, and of the machine.
type Stage struct {
	Bin, Dir, Write, Only string
	Install               bool
	Peers                 Peers
}

// Flags declares the options; page is what -write writes.
func (s *Stage) Flags(page string) {
	flag.StringVar(&s.Bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&s.Dir, "dir", "/var/tmp", "directory, on a disk, for the state of all engines")
	flag.StringVar(&s.Write, "write", "", "also write the page to this file ("+page+")")
	flag.StringVar(&s.Only, "only", "", "only these engines (names with commas)")
	flag.BoolVar(&s.Install, "install", false, "fetch and build the peers first")
}

// Play does the work of a command until it is interrupted, and exits with status 1 if that fails.
func Play(name string, work func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := work(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// Set finds the peers, and makes a directory for everybody's state, with copies of what was just built. strike removes it.
func (s *Stage) Set(ctx context.Context) (strike func() error, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("engines are started, so this needs root. Next: repeat the command with sudo")
	}
	if s.Peers, err = FindPeers(); err != nil {
		return nil, err
	}
	if s.Install {
		if err := s.Peers.Install(ctx); err != nil {
			return nil, err
		}
	}
	if s.Bin, err = filepath.Abs(s.Bin); err != nil {
		return nil, err
	}
	if s.Dir, err = os.MkdirTemp(s.Dir, "brig-room-"); err != nil {
		return nil, err
	}
	strike = func() error { return os.RemoveAll(s.Dir) }
	if err = os.Chmod(s.Dir, 0o711); err == nil { // daemons that are not root pass through it
		s.Bin, err = s.Peers.CopyInto(s.Dir, s.Bin)
	}
	if err != nil {
		return nil, errors.Join(err, strike())
	}
	return strike, nil
}

// Wanted says whether an engine is among those that -only names.
func (s *Stage) Wanted(name string) bool {
	if s.Only == "" {
		return true
	}
	for only := range strings.SplitSeq(s.Only, ",") {
		if strings.TrimSpace(only) == name {
			return true
		}
	}
	return false
}

// Publish prints a page, and keeps it where -write says.
func (s *Stage) Publish(page string) error {
	fmt.Print(page)
	if s.Write == "" {
		return nil
	}
	return os.WriteFile(s.Write, []byte(page), 0o644)
}
