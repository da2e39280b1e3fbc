package explain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// Plan is a plan as the warden has computed it.
type Plan struct {
	Title string
	Ops   []*Op
}

// Op is one system call, or (with Label alone) a place to jump to, or (with Stage alone) a heading.
type Op struct {
	Stage, Label string
	Kind         int
	Nr           uintptr
	// Args are int, string, Ref, []string, []uint64, Filter and ForkArgs.
	Args       []any
	Out        Ref
	On         []On
	Then, What string
}

// Ref is the result of another operation, or a descriptor that the warden has prepared.
type Ref string

// ForkArgs are the flags of clone3.
type ForkArgs uint64

// Filter is a seccomp program.
type Filter struct {
	Name string
	Code []byte
}

// On is an error after which the plan goes on at To, or at the next operation.
type On struct {
	Errno unix.Errno
	To    string
}

// Kinds of operations that are no system call; package clone numbers them.
const kindFail, kindSet = 4, 5

// Decode reads what the warden has answered.
func Decode(b []byte) (*Plan, error) {
	var raw struct {
		Title string
		Ops   []*struct {
			Op
			Args []json.RawMessage
			Out  struct{ Ref Ref }
		}
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p := &Plan{Title: printable(raw.Title)}
	for _, r := range raw.Ops {
		if r == nil {
			return nil, errors.New("plan: an operation is missing")
		}
		op := r.Op
		op.Args, op.Out = nil, r.Out.Ref
		if len(r.Args) > len(call{}.args) {
			return nil, fmt.Errorf("plan: %s: %d arguments", op.What, len(r.Args))
		}
		for i, a := range r.Args {
			v, err := argumentOf(a)
			if err != nil {
				return nil, fmt.Errorf("plan: %s: argument %d: %w", op.What, i+1, err)
			}
			if n, ok := v.(int); ok && op.Nr == unix.SYS_CLONE3 && i == 0 {
				v = ForkArgs(n)
			}
			op.Args = append(op.Args, v)
		}
		p.Ops = append(p.Ops, &op)
	}
	return p, nil
}

// printable is text with which nobody steers a terminal. What else strangers have chosen is printed quoted.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// argumentOf tells by its form what an argument is.
func argumentOf(b []byte) (any, error) {
	b = bytes.TrimSpace(b)
	var s string
	var words []string
	var numbers []uint64
	var object struct {
		Ref *Ref
		Filter
	}
	switch {
	case bytes.Equal(b, []byte("null")):
		return words, nil
	case b[0] == '"':
		err := json.Unmarshal(b, &s)
		return s, err
	case b[0] == '{':
		err := json.Unmarshal(b, &object)
		if object.Ref != nil {
			return *object.Ref, err
		}
		return object.Filter, err
	case b[0] != '[':
		return strconv.Atoi(string(b))
	}
	if json.Unmarshal(b, &numbers) == nil && len(numbers) > 0 {
		return numbers, nil
	}
	err := json.Unmarshal(b, &words)
	return words, err
}
