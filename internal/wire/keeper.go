package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ExitNote is how a process ended, as the keeper or the warden wrote it down before reaping it.
type ExitNote struct {
	PID       int
	StartTime uint64 // clock ticks since boot
	Status    int    // as wait(2) gives it
	At        int64  // nanoseconds since the epoch
}

// Name is the file name of the note: a pid and a start time name a process for the life of the machine.
func (n ExitNote) Name() string { return fmt.Sprintf("%d.%d", n.PID, n.StartTime) }

// String is the content of the file.
func (n ExitNote) String() string { return fmt.Sprintf("%d %d\n", n.Status, n.At) }

// ParseExitNote reads the content of a note.
func ParseExitNote(s string) (n ExitNote, err error) {
	_, err = fmt.Sscanf(s, "%d %d\n", &n.Status, &n.At)
	return n, err
}

// Exit turns the status of wait(2) into an exit code as a shell shows it.
func (n ExitNote) Exit() Exit {
	ws := unix.WaitStatus(n.Status)
	if ws.Signaled() {
		return Exit{Code: 128 + int(ws.Signal()), Signal: int(ws.Signal()), At: n.At}
	}
	return Exit{Code: ws.ExitStatus(), At: n.At}
}

// ReadStat reads the note of a process that lives or was not reaped yet.
func ReadStat(pid int) (ExitNote, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ExitNote{}, err
	}
	return ParseStat(string(b))
}

// ParseStat reads pid, start time (field 22) and exit status (field 52) from /proc/PID/stat. The name in parentheses
// may hold anything, so fields are counted from the last parenthesis.
func ParseStat(s string) (n ExitNote, err error) {
	end := strings.LastIndexByte(s, ')')
	if end < 0 {
		return n, errors.New("stat: no name")
	}
	f := strings.Fields(s[end+1:])
	if len(f) < 50 {
		return n, errors.New("stat: too few fields")
	}
	if _, err := fmt.Sscanf(s, "%d", &n.PID); err != nil {
		return n, fmt.Errorf("stat: pid: %w", err)
	}
	if n.StartTime, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return n, fmt.Errorf("stat: start time: %w", err)
	}
	n.Status, err = strconv.Atoi(f[49])
	return n, err
}

// Keep is a message between the warden and the keeper.
//
//	warden → keeper   hold KEY + fd    keep this descriptor for your successor
//	                  drop KEY         close it
//	keeper → warden   have KEY + fd    once for each held descriptor, when a warden starts
//	                  end              that was all
type Keep struct {
	Op  KeepOp `json:"op"`
	Key string `json:"key,omitempty"`
}

// KeepOp names a message.
type KeepOp string

// The messages.
const (
	KeepHold KeepOp = "hold"
	KeepDrop KeepOp = "drop"
	KeepHave KeepOp = "have"
	KeepEnd  KeepOp = "end"
)

// SendKeep sends k with the descriptors, which stay open here.
func (c *Conn) SendKeep(k Keep, fds ...int) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return c.Send(&Frame{Body: b}, fds)
}

// ReceiveKeep reads one message and the descriptors that came with it.
func (c *Conn) ReceiveKeep() (Keep, []int, error) {
	f, fds, err := c.Receive()
	if err != nil {
		return Keep{}, nil, err
	}
	var k Keep
	if err := DecodeStrict(f.Body, &k); err != nil {
		CloseAll(fds)
		return Keep{}, nil, err
	}
	return k, fds, nil
}
