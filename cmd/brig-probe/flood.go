package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// toolPour prints args[0] bytes in lines as fast as they are taken, args[1] seconds after its start. The status is 3 if
// that takes more than args[2] seconds.
func toolPour(args []string) int {
	left, wait, most := number(args, 0), number(args, 1), number(args, 2)
	time.Sleep(time.Duration(wait) * time.Second)
	line := strings.Repeat("all work and no play makes the log a long one ", 3)[:127] + "\n"
	block := []byte(strings.Repeat(line, 512))
	for end := time.Now().Add(time.Duration(most) * time.Second); left > 0; left -= int64(len(block)) {
		if _, err := os.Stdout.Write(block[:min(left, int64(len(block)))]); err != nil {
			return 1
		}
		if time.Now().After(end) {
			return 3
		}
	}
	return 0
}

// Bounds of a second caller, which runs on the host.
const (
	askDeadline = 3 * time.Second
	askPause    = 10 * time.Millisecond
	askRequest  = "GET /containers/json HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n"
)

// toolAsk asks the engine behind the socket args[0] for its containers, again and again for args[1] milliseconds, and prints
// how many microseconds the slowest answer took, and the first failure if there was one.
func toolAsk(args []string) int {
	if len(args) != 2 {
		fail("usage: ask SOCKET MILLISECONDS")
	}
	length := time.Duration(number(args, 1)) * time.Millisecond
	worst, failure := time.Duration(0), ""
	for end := time.Now().Add(length); time.Now().Before(end) && failure == ""; time.Sleep(askPause) {
		begin := time.Now()
		failure = askOnce(args[0])
		worst = max(worst, time.Since(begin))
	}
	os.Stdout.WriteString(strings.TrimSpace(strconv.FormatInt(worst.Microseconds(), 10)+" "+failure) + "\n")
	return 0
}

func askOnce(socket string) (failure string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(askDeadline.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience) // of the connection, too
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return "connect: " + err.Error()
	}
	if _, err := unix.Write(fd, []byte(askRequest)); err != nil {
		return "write: " + err.Error()
	}
	answer, b := "", make([]byte, 64<<10)
	for end := time.Now().Add(askDeadline); ; {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "read: " + err.Error()
		case time.Now().After(end):
			return "no end of the answer"
		case n > 0 && len(answer) < 100:
			answer += string(b[:n])
		}
		if n == 0 && err == nil {
			break
		}
	}
	if !strings.HasPrefix(answer, "HTTP/1.1 200") {
		return "answered " + strconv.Quote(answer[:min(len(answer), 100)])
	}
	return ""
}
