package ownengine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AsRoot executes this program once more as root, and shows how; why is what needs root. It gives the exit status of that.
func AsRoot(why string) (status int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	args := append([]string{self}, os.Args[1:]...)
	fmt.Fprintln(os.Stderr, why+": sudo", ShellLine(args))
	cmd := exec.Command("sudo", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Ctrl-C reaches the child as well, which sweeps; this process only waits for it.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	var exit *exec.ExitError
	if err = cmd.Run(); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	} else if err != nil {
		return 1, err
	}
	return 0, nil
}

// Apart gives this program a network namespace of its own, by executing it once more; mark is a variable of the environment
// by which it knows that it is there. It returns in the new namespace, or with an error.
func Apart(mark string) error {
	if os.Getenv(mark) != "" {
		return LoopbackUp()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // execve makes the calling thread, with its namespace, the only one
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	return fmt.Errorf("%s: %w", self, unix.Exec(self, os.Args, append(os.Environ(), mark+"=1")))
}

// LoopbackUp makes a new network namespace one in which programs talk to themselves.
func LoopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
