package pidfd

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStatusTellsExitFromSignal(t *testing.T) {
	tests := map[string]Status{"exit 7": {Code: 7}, "exit 0": {}, "kill -TERM $$": {Signal: unix.SIGTERM}}
	for script, want := range tests {
		c := exec.Command("sh", "-c", script)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(c.Process.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, keep := range []bool{true, true, false} { // kept: it can be read again
			if got, err := Wait(fd, keep); err != nil || got != want {
				t.Errorf("%s: %+v %v", script, got, err)
			}
		}
		if _, err := Wait(fd, false); err == nil {
			t.Errorf("%s: reaped twice", script)
		}
		unix.Close(fd)
	}
	if code := (Status{Signal: unix.SIGKILL}).ExitCode(); code != 137 {
		t.Errorf("exit code %d", code)
	}
}

func TestEndedIsBoundedAndSignalReaches(t *testing.T) {
	c := exec.Command("sleep", "30")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(c.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if ended, err := Ended(fd, 10*time.Millisecond); err != nil || ended {
		t.Fatalf("ended %v %v", ended, err)
	}
	if err := Signal(fd, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if ended, err := Ended(fd, 5*time.Second); err != nil || !ended {
		t.Fatalf("ended %v %v", ended, err)
	}
	if _, err := Wait(fd, false); err != nil {
		t.Fatal(err)
	}
}
