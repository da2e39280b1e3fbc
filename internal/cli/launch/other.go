//go:build !linux

package launch

import "errors"

// ErrRunning says that there is nothing to start.
var ErrRunning = errors.New("an engine already runs there")

var errLinux = errors.New("engines run on Linux; here brig talks to one that runs elsewhere")

// Start is for Linux.
func Start(Options) error { return errLinux }

// Exec is for Linux.
func Exec(string, ...string) error { return errLinux }

// Stop is for Linux.
func Stop(string, bool) error { return errLinux }

// Look finds no engine.
func Look(string) Status { return Status{} }
