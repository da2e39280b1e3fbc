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

// Forwarded lists the signals that are passed on to the program, by the name that the engine takes. Those that the
// shell's job control uses stay with the command line itself.
func Forwarded() map[os.Signal]string {
	return map[os.Signal]string{
		syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGTERM: "SIGTERM",
		syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2", syscall.SIGALRM: "SIGALRM",
	}
}
