package console

import (
	"os"
	"time"
)

// WatchSize calls changed once and from time to time: Windows has no signal for a new size. stop ends the watch.
func WatchSize(changed, continued func()) (stop func()) {
	done := make(chan struct{})
	tick := time.NewTicker(250 * time.Millisecond)
	go func() {
		defer tick.Stop()
		changed()
		for {
			select {
			case <-tick.C:
				changed()
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// Signals are passed on to a program, by the name that the engine takes.
type Signals map[os.Signal]string

// Requests lists the signals that ask a program to end.
func Requests() Signals { return Signals{os.Interrupt: "SIGINT"} }

// Others lists the other signals that are passed on.
func Others() Signals { return Signals{} }
