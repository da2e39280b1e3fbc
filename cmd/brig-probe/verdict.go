package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The verdicts. Only blocked says that a defence worked. lookOutside is none: the technique was carried out, and only
// the drill, which watches the canary, can say whether it had an effect.
const (
	exposed       = "exposed"
	blocked       = "blocked"
	notApplicable = "not-applicable"
	couldNotTry   = "could-not-try"
	lookOutside   = "look-outside"
)

type verdict struct {
	probe, attack string
	verdict       string
	layer         string // which defence refused, as far as it can be told from inside; "" unless blocked
	detail        string
	took          time.Duration
	hold          time.Duration // how long the process goes on after it has printed this
}

// line is the verdict as one line of JSON. Written by hand: encoding/json would double the start time of "true".
func (v verdict) line() []byte {
	b := append([]byte(`{"probe":`), quote(v.probe)...)
	b = append(append(b, `,"attack":`...), quote(v.attack)...)
	b = append(append(b, `,"verdict":`...), quote(v.verdict)...)
	b = append(append(b, `,"layer":`...), quote(v.layer)...)
	b = append(append(b, `,"detail":`...), quote(v.detail)...)
	b = append(b, `,"duration_ms":`...)
	b = strconv.AppendFloat(b, float64(v.took.Microseconds())/1000, 'f', 3, 64)
	return append(b, '}', '\n')
}

// quote writes s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func quote(s string) []byte {
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// posture is what a process can see of its own confinement.
type posture struct {
	seccomp    bool // a filter is loaded
	userns     bool // not the initial user namespace: its id map is not the identity over all ids
	caps       uint64
	noNewPrivs bool
}

func readPosture() posture {
	p := posture{}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Seccomp":
			p.seccomp = value == "2"
		case "NoNewPrivs":
			p.noNewPrivs = value == "1"
		case "CapEff":
			p.caps, _ = strconv.ParseUint(value, 16, 64)
		}
	}
	maps, _ := os.ReadFile("/proc/self/uid_map")
	p.userns = strings.Join(strings.Fields(string(maps)), " ") != "0 0 4294967295"
	return p
}

// refuser names the layers that may have answered a request with a permission error. Where more than one could have,
// all are named: which of them are needed is found by removing them, not by argument.
func (p posture) refuser(capability uint) string {
	var who []string
	if p.seccomp {
		who = append(who, "seccomp")
	}
	switch {
	case p.caps&(1<<capability) == 0:
		who = append(who, "capability")
	case p.userns:
		who = append(who, "user namespace")
	}
	if len(who) == 0 {
		return "kernel"
	}
	return strings.Join(who, " or ")
}

// errName is the symbol of an error number ("EPERM").
func errName(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := err.(syscall.Errno); ok {
		if name := unix.ErrnoName(e); name != "" {
			return name
		}
	}
	if pe, ok := err.(*os.PathError); ok {
		return errName(pe.Err)
	}
	return err.Error()
}

func denied(e syscall.Errno) bool { return e == unix.EPERM || e == unix.EACCES || e == unix.ENOSYS }

// few joins at most n of the items and says how many more there were.
func few(items []string, n int) string {
	if len(items) <= n {
		return strings.Join(items, ", ")
	}
	return strings.Join(items[:n], ", ") + " and " + strconv.Itoa(len(items)-n) + " more"
}
