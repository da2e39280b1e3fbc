package wire

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSilentWorkerDoesNotHoldTheWarden: an errand ends when its time is over, and its connection with it.
func TestSilentWorkerDoesNotHoldTheWarden(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*Conn
	for i, fd := range fds {
		if ends[i], err = FileConn(fd, "test"); err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	e := Errand{Kind: JobFill, Fill: &JobFillParams{}}
	if err := e.Run(ctx, ends[0], nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if f, _, err := ends[1].Receive(); err != nil || f.Op != OpJob {
		t.Errorf("the job arrived as %+v, %v", f, err)
	}
	if f, _, err := ends[1].Receive(); err == nil {
		t.Errorf("the connection lives on: %+v", f)
	}
}
