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

// Forwarded lists the signals that are passed on to the program, by the name that the engine takes.
func Forwarded() map[os.Signal]string {
	return map[os.Signal]string{os.Interrupt: "SIGINT"}
}
