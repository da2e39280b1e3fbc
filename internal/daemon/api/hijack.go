package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/api/types"
	"golang.org/x/sys/unix"
)

// stream is a hijacked connection.
type stream struct {
	net.Conn
	in   *bufio.Reader // may hold bytes that came with the request
	head sync.Once     // done when the client has read the head of the reply
}

func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

// headPatience is how long output waits for a client that does not read.
const headPatience = time.Second

// Write keeps the first output apart from the head of the reply: docker-py reads the head through a buffer, and goes on
// below it.
func (s *stream) Write(p []byte) (int, error) {
	s.head.Do(s.awaitHead)
	return s.Conn.Write(p)
}

func (s *stream) awaitHead() {
	u, ok := s.Conn.(syscall.Conn)
	if !ok {
		return
	}
	rc, err := u.SyscallConn()
	if err != nil {
		return
	}
	pause := 20 * time.Microsecond
	for end := time.Now().Add(headPatience); time.Now().Before(end); time.Sleep(pause) {
		unread, ierr := 0, error(nil)
		err := rc.Control(func(fd uintptr) { unread, ierr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if err != nil || ierr != nil || unread == 0 {
			return
		}
		pause = min(2*pause, 2*time.Millisecond)
	}
}

// Gone tells, after the end of the input, whether the client has closed the whole connection: it cannot read either.
func (s *stream) Gone() bool {
	u, ok := s.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	rc, err := u.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = rc.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		_, perr := unix.Poll(fds, 0)
		gone = perr == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}

// hijack takes the connection over and answers as the client asked: 101 to an upgrade, 200 to the older way. more are
// further lines of the header.
func hijack(w http.ResponseWriter, r *http.Request, multiplexed bool, more ...string) (*stream, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over the connection: %w", err)
	}
	status, upgrade := "200 OK", ""
	if r.Header.Get("Upgrade") != "" {
		status, upgrade = "101 UPGRADED", "Connection: Upgrade\r\nUpgrade: tcp\r\n"
	}
	head := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\n%sApi-Version: %s\r\n%s\r\n", status, contentType(r, multiplexed),
		upgrade, MaxVersion, strings.Join(append(more, ""), "\r\n"))
	if _, err := io.WriteString(conn, head); err != nil { // at once: half of it would wake the client for nothing
		conn.Close()
		return nil, err
	}
	s := &stream{Conn: conn, in: rw.Reader}
	if len(more) > 0 { // for brig, which can read
		s.head.Do(func() {})
	}
	return s, nil
}

// contentType says how a stream is framed; before API 1.42 it always said raw.
func contentType(r *http.Request, multiplexed bool) string {
	if multiplexed && Version(r) >= 42 {
		return types.MediaTypeMultiplexedStream
	}
	return types.MediaTypeRawStream
}

// callerFD gives a duplicate of the caller's connection, or -1 where it is no unix socket. The receiver closes it.
func callerFD(r *http.Request) (int, error) {
	u, ok := r.Context().Value(keyConn).(syscall.Conn)
	if !ok {
		return -1, nil
	}
	rc, err := u.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("the caller's connection: %w", err)
	}
	fd := -1
	var derr error
	err = rc.Control(func(old uintptr) { fd, derr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, derr); err != nil {
		return -1, fmt.Errorf("the caller's connection: %w", err)
	}
	return fd, nil
}

func closeFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
