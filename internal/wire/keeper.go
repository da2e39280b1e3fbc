package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Between the warden and the keeper, in frames that have keys, and descriptors where they are named, one for each key:
//
//	warden → keeper   hold KEYS + fds    keep these descriptors for your successor
//	                  drop KEYS          close them
//	keeper → warden   have KEYS + fds    what is held, when a warden starts, in any number of frames
//	                  end                that was all
const (
	KeepHold Op = "hold"
	KeepDrop Op = "drop"
	KeepHave Op = "have"
	KeepEnd  Op = "end"
)

// NoteName is the name of the file that says how a process ended (Exit), as the keeper writes it before it reaps: a pid
// and a start time name a process for the life of the machine.
func NoteName(pid int, start uint64) string { return fmt.Sprintf("%d.%d", pid, start) }

// WriteJSON replaces a file in one step.
func WriteJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path+".tmp", b, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	return err
}

// StartTime of a process that lives or was not reaped yet, in clock ticks since boot.
func StartTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return ParseStat(string(b))
}

// ParseStat reads the start time (field 22) from /proc/PID/stat. The name in parentheses may hold anything, so fields
// are counted from the last parenthesis.
func ParseStat(s string) (start uint64, err error) {
	end := strings.LastIndexByte(s, ')')
	f := strings.Fields(s[end+1:])
	if end < 0 || len(f) < 20 {
		return 0, errors.New("stat: too few fields")
	}
	if start, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return 0, fmt.Errorf("stat: start time: %w", err)
	}
	return start, nil
}
