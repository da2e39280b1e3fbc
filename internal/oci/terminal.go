package oci

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/oci/birth"
)

// checkTerminal: somebody has to have the other end.
func (c *container) checkTerminal() error {
	switch {
	case c.o.console != "" && !c.spec.Process.Terminal:
		return errors.New("--console-socket is for a process with a terminal")
	case c.o.console == "" && c.spec.Process.Terminal && c.wait:
		return errors.New("a process with a terminal needs --console-socket")
	}
	return nil
}

// terminal takes the container's end, and sends it to who asked for it or keeps it.
func (c *container) terminal() error {
	fd, err := takeTerminal(c.running, c.o.console)
	c.master = fd
	return err
}

func takeTerminal(r *birth.Running, socket string) (master int, err error) {
	if master, err = r.Take(birth.ShownTerminal); err != nil || socket == "" {
		return master, err
	}
	defer unix.Close(master)
	return -1, sendTo(socket, "/dev/ptmx", master)
}

// sendTo sends a descriptor to a unix socket, with a name as the message.
func sendTo(socket, name string, fd int) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if err = unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 10}); err != nil { // of connect(2), too
		return err
	}
	if err = unix.Connect(s, &unix.SockaddrUnix{Name: socket}); err == nil {
		err = unix.Sendmsg(s, []byte(name), unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return fmt.Errorf("send a descriptor to %s: %w", socket, err)
	}
	return nil
}

// relay connects this process's own terminal with a container's, until the container's ends. done is closed then.
func relay(master int) (resize func(), restore func(), done chan struct{}) {
	m := os.NewFile(uintptr(master), "terminal")
	restore = func() {}
	if old, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		raw := *old
		raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		raw.Oflag &^= unix.OPOST
		raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		if unix.IoctlSetTermios(0, unix.TCSETS, &raw) == nil {
			restore = func() { _ = unix.IoctlSetTermios(0, unix.TCSETS, old) } // it ends with this process
		}
	}
	resize = func() {
		if size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
			_ = unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, size) // of a terminal that is gone nobody sees it
		}
	}
	resize()
	done = make(chan struct{})
	go io.Copy(m, os.Stdin)
	go func() {
		io.Copy(os.Stdout, m) // EIO is its end
		close(done)
	}()
	return resize, restore, done
}
