package console

import (
	"errors"
	"fmt"
	"os"

	"github.com/moby/term"
)

// Terminal is a file that may be a terminal.
type Terminal struct {
	fd    uintptr
	is    bool
	saved *term.State
}

// Of looks at f, which may be anything that was given as a standard stream.
func Of(f any) *Terminal {
	file, ok := f.(*os.File)
	if !ok {
		return &Terminal{}
	}
	return &Terminal{fd: file.Fd(), is: term.IsTerminal(file.Fd())}
}

// Is reports whether the file is a terminal.
func (t *Terminal) Is() bool { return t.is }

// Size returns the terminal's rows and columns, and false if there are none.
func (t *Terminal) Size() (rows, cols uint, ok bool) {
	if !t.is {
		return 0, 0, false
	}
	ws, err := term.GetWinsize(t.fd)
	if err != nil || ws.Height == 0 && ws.Width == 0 {
		return 0, 0, false
	}
	return uint(ws.Height), uint(ws.Width), true
}

// Raw hands every key to the program instead of to the local line discipline, until Restore.
func (t *Terminal) Raw() error {
	if !t.is {
		return nil
	}
	state, err := term.SetRawTerminal(t.fd)
	if err != nil {
		return fmt.Errorf("set the terminal to raw mode: %w", err)
	}
	if t.saved == nil { // a second Raw, after SIGCONT, must not take raw mode for the original state
		t.saved = state
	}
	return nil
}

// Restore undoes Raw. It may be called more than once.
func (t *Terminal) Restore() {
	if t.saved != nil {
		// Nothing can be done about a terminal that is gone.
		_ = term.RestoreTerminal(t.fd, t.saved)
		t.saved = nil
	}
}

// DefaultDetachKeys is ctrl-p ctrl-q.
const DefaultDetachKeys = "ctrl-p,ctrl-q"

// ParseKeys turns a sequence like "ctrl-p,ctrl-q" into the bytes that the keys send.
func ParseKeys(s string) ([]byte, error) {
	if s == "" {
		s = DefaultDetachKeys
	}
	keys, err := term.ToBytes(s)
	if err != nil || len(keys) == 0 {
		return nil, errors.New(`detach keys are a comma separated list of characters and ctrl-X, like "` +
			DefaultDetachKeys + `"`)
	}
	return keys, nil
}
