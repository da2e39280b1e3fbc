package policy

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ParseSignal reads a signal by number, by name, or by name with SIG before it; "" is SIGTERM.
func ParseSignal(s string) (int, error) {
	if s == "" {
		return int(unix.SIGTERM), nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("invalid signal: %s: the numbers are 1 to 64", clip(s))
		}
		return n, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return int(n), nil
	}
	const rtMin, rtMax = 34, 64
	for _, rt := range []struct {
		prefix string
		base   int
		sign   int
	}{{"RTMIN", rtMin, 1}, {"RTMAX", rtMax, -1}} {
		rest, ok := strings.CutPrefix(name, rt.prefix)
		if !ok {
			continue
		}
		off := 0
		if rest != "" {
			var err error
			if off, err = strconv.Atoi(rest); err != nil {
				break
			}
		}
		// RTMIN+3 counts up, RTMAX-3 counts down; the sign is part of what Atoi has read.
		if n := rt.base + off; off*rt.sign >= 0 && n >= rtMin && n <= rtMax {
			return n, nil
		}
	}
	return 0, fmt.Errorf("invalid signal: %s", clip(s))
}

// ParseDetachKeys reads a sequence like ctrl-p,ctrl-q. "" is the default of Docker's clients.
func ParseDetachKeys(s string) ([]byte, error) {
	if s == "" {
		s = "ctrl-p,ctrl-q"
	}
	var keys []byte
	for k := range strings.SplitSeq(s, ",") {
		letter, isCtrl := strings.CutPrefix(strings.ToLower(k), "ctrl-")
		switch {
		case !isCtrl && len(k) == 1:
			keys = append(keys, k[0])
		case isCtrl && len(letter) == 1 && letter[0] >= 'a' && letter[0] <= 'z':
			keys = append(keys, letter[0]-'a'+1)
		case isCtrl && len(letter) == 1 && strings.Contains("@[\\]^_", letter):
			keys = append(keys, letter[0]&0x1f)
		case strings.EqualFold(k, "DEL"):
			keys = append(keys, 127)
		default:
			return nil, fmt.Errorf("unknown key %s in %s", clip(k), clip(s))
		}
	}
	if len(keys) > 32 {
		return nil, fmt.Errorf("a sequence of detach keys has at most 32 keys")
	}
	return keys, nil
}
