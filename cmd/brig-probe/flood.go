package main

import (
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// toolPour prints args[0] bytes in lines as fast as they are taken, args[1] seconds after its start. The status is 3 if
// that takes more than half a minute.
func toolPour(args []string) int {
	left, wait := number(args, 0), number(args, 1)
	time.Sleep(time.Duration(wait) * time.Second)
	line := strings.Repeat("all work and no play makes the log a long one ", 3)[:127] + "\n"
	block := []byte(strings.Repeat(line, 512))
	for end := time.Now().Add(30 * time.Second); left > 0; left -= int64(len(block)) {
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
	c, err := net.DialTimeout("unix", socket, askDeadline)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(askDeadline))
	if _, err := c.Write([]byte(askRequest)); err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	if answer := string(text); !strings.HasPrefix(answer, "HTTP/1.1 200") {
		return "answered " + strconv.Quote(answer[:min(len(answer), 100)])
	}
	return ""
}
