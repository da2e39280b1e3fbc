package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Outward gives do a pipe whose other end goes to w, and waits until all has gone there: drain after do has returned at
// most, or, if drain is 0, for as long as w takes. do is cancelled when w takes no more.
func Outward(ctx context.Context, w io.Writer, drain time.Duration, do func(ctx context.Context, fd int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	defer pr.Close()
	defer pw.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, pr)
		if err != nil {
			cancel() // nobody reads any more
		}
		sent <- err
	}()
	err = do(ctx, int(pw.Fd()))
	pw.Close() // end of file for the copy, when the worker is gone, too
	if drain > 0 {
		_ = pr.SetReadDeadline(time.Now().Add(drain))
	}
	return errors.Join(err, <-sent)
}
