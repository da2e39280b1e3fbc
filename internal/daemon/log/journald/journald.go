// Package journald speaks the native protocol of the systemd journal.
//
// Zone: brigd.
// Input: names and values of fields: bytes that containers and callers chose.
// Output: one datagram for each entry, NAME=value lines; a value that holds an end of a line has its length in front of it, so
// that nothing in it can pass for a field. An entry that is too large for a datagram travels in a sealed memory file.
// Spec: systemd.io/JOURNAL_NATIVE_PROTOCOL.
// Answers: A2 (every send has a deadline).
package journald

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is where the journal listens.
const Socket = "/run/systemd/journal/socket"

// Conn is a connection to the journal, for one goroutine.
type Conn struct{ c *net.UnixConn }

// Dial connects.
func Dial(path string) (*Conn, error) {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("journald is not enabled on this host: there is no %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("journald: %w", err)
	}
	return &Conn{c}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// Send sends one entry, which AppendField has made.
func (c *Conn) Send(entry []byte, deadline time.Time) error {
	if err := c.c.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("journald: %w", err)
	}
	_, err := c.c.Write(entry)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = c.sendFile(entry)
	}
	if err != nil {
		return fmt.Errorf("journald: %w", err)
	}
	return nil
}

// sendFile sends an entry in a memory file that nobody can change any more.
func (c *Conn) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "journal-entry")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal a memory file: %w", err)
	}
	rc, err := c.c.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = rc.Write(func(socket uintptr) bool {
		serr = unix.Sendmsg(int(socket), nil, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
		return serr != unix.EAGAIN
	})
	return errors.Join(err, serr)
}

// AppendField appends a field. The name is one that Name has made, or a constant.
func AppendField(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	if bytes.IndexByte(value, '\n') < 0 {
		b = append(append(b, '='), value...)
		return append(b, '\n')
	}
	b = append(b, '\n')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, value...), '\n')
}

// Name makes the name of a field of any text: capitals, digits and underscores, of which none comes first. It may be empty.
func Name(s string) string {
	n := strings.TrimLeft(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s), "_")
	return n[:min(len(n), longest)]
}

// longest is what the journal takes as a name.
const longest = 64
