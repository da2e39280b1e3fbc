//go:build !windows

package console

import (
	"os"
	"os/signal"
	"syscall"
)

// WatchSize calls changed once and whenever the terminal's size may have changed, also after the process was stopped
// and continued by the shell; continued is called before, so that raw mode can be set again. stop ends the watch.
func WatchSize(changed, continued func()) (stop func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGWINCH, syscall.SIGCONT)
	done := make(chan struct{})
	go func() {
		// After Notify, so that no change between the two is lost.
		changed()
		for {
			select {
			case s := <-c:
				if s == syscall.SIGCONT {
					continued()
				}
				changed()
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(c); close(done) }
}

// Signals are passed on to a program, by the name that the engine takes.
type Signals map[os.Signal]string

// Requests lists the signals that ask a program to end.
func Requests() Signals {
	return Signals{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM"}
}

// Others lists the other signals that are passed on. Those that the shell's job control uses stay with the command line
// itself.
func Others() Signals {
	return Signals{
		syscall.SIGHUP: "SIGHUP", syscall.SIGQUIT: "SIGQUIT", syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2",
		syscall.SIGALRM: "SIGALRM",
	}
}
