// Package netns lets a piece of the drill act in another network namespace.
package netns

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do calls do on a thread that is in the network namespace at path; "" is the caller's own. Sockets made by do
// stay in that namespace.
func Do(path string, do func() error) error {
	if path == "" {
		return do()
	}
	result := make(chan error, 1)
	go func() {
		// The thread is given up afterwards (it ends with its locked goroutine), because nothing guarantees that it
		// could come back.
		runtime.LockOSThread()
		err := Enter(path)
		if err == nil {
			err = do()
		}
		result <- err
	}()
	return <-result
}

// Enter takes the calling thread, which is locked to its goroutine for ever, into the network namespace at path.
func Enter(path string) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", path, err)
	}
	return nil
}
