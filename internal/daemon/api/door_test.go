package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/event"
)

// openDoor serves an API without an engine.
func openDoor(t *testing.T, b Bounds) (socket string, s *Server) {
	t.Helper()
	s = &Server{Bus: &event.Bus{}}
	h := NewHTTPServer(s.Handler())
	h.Bounds = b
	socket = filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = h.Serve(l) }() // ends with Close
	t.Cleanup(func() { h.Close(); <-served })
	return socket, s
}

// pingAs is the main function of a caller in a process of its own.
func pingAs(socket string) int {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	resp, err := c.Get("http://engine/_ping")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	text, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(text))
	return 0
}

// another is what a caller in another process is answered.
func another(t *testing.T, socket string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"BRIG_TEST_CALLER=" + socket}
	out, _ := cmd.Output() // it prints what went wrong
	return strings.TrimSpace(string(out))
}

func dial(t *testing.T, socket, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, request); err != nil && request != "" {
		t.Fatal(err)
	}
	return c
}

const (
	pingRequest   = "GET /_ping HTTP/1.1\r\nHost: engine\r\n\r\n"
	eventsRequest = "GET /events HTTP/1.1\r\nHost: engine\r\n\r\n"
)

// One caller opens what it may and more, half-written requests and streams that it never reads; another one is answered.
func TestOneCallerLeavesRoomForOthers(t *testing.T) {
	socket, s := openDoor(t, Bounds{All: 200, One: 20})
	var mine []net.Conn
	for i := range 20 {
		mine = append(mine, dial(t, socket, []string{"GET /_pi", eventsRequest}[i%2]))
	}
	eventually(t, "ten streams", func() bool { return s.Bus.Count() == 10 })

	over := dial(t, socket, pingRequest)
	resp, err := http.ReadResponse(bufio.NewReader(over), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 503 || !strings.Contains(string(text), fmt.Sprintf("process %d holds 20 connections", os.Getpid())) {
		t.Errorf("over its bound a caller is answered %d %s", resp.StatusCode, text)
	}
	if got := another(t, socket); got != "200 OK" {
		t.Errorf("meanwhile another caller is answered %s", got)
	}
	// Beyond the refusals it is not even read.
	for range spare + 5 {
		mine = append(mine, dial(t, socket, ""))
	}
	last := mine[len(mine)-1]
	last.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("far over its bound a connection stays: %v", err)
	}
	if got := another(t, socket); got != "200 OK" {
		t.Errorf("then another caller is answered %s", got)
	}
	for _, c := range mine {
		c.Close()
	}
	eventually(t, "its place given back", func() bool {
		c := dial(t, socket, pingRequest)
		defer c.Close()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil && resp.StatusCode == 200
	})
}

func TestAllCallersTogetherAreBounded(t *testing.T) {
	socket, _ := openDoor(t, Bounds{All: 5, One: 10})
	for range 5 {
		dial(t, socket, "GET")
	}
	c := dial(t, socket, "")
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection too many: %v", err)
	}
}

func TestBoundsFollowTheDescriptors(t *testing.T) {
	for n, want := range map[uint64]Bounds{1024: {512, 256}, 20000: {10000, 4096}, 1 << 20: {16384, 4096}} {
		if got := boundsFor(n); got != want {
			t.Errorf("%d descriptors: %v, want %v", n, got, want)
		}
	}
}

// A client that takes its time with a request has no more than it needs.
func TestAHalfWrittenRequestEnds(t *testing.T) {
	if h := NewHTTPServer(nil); h.ReadHeaderTimeout != headerPatience || h.IdleTimeout == 0 || h.MaxHeaderBytes != 64<<10 {
		t.Errorf("%v for headers, %v idle, %d bytes", h.ReadHeaderTimeout, h.IdleTimeout, h.MaxHeaderBytes)
	}
	socket, _ := openDoor(t, Bounds{All: 5, One: 5})
	c := dial(t, socket, "GET /_ping HTTP/1.1\r\nHost: engine\r\nX: "+strings.Repeat("x", 80<<10))
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("an endless header is answered %v %v", resp, err)
	}
}

// Requests of one caller that compute take turns.
func TestTurns(t *testing.T) {
	k := &caller{name: "process 1", turns: make(chan struct{}, 2)}
	ctx := context.WithValue(t.Context(), keyConn, &conn{callers: []*caller{k}})
	var ends []func()
	for range 2 {
		done, err := turn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, done)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := turn(short); err == nil || !strings.Contains(err.Error(), "process 1") {
		t.Errorf("a third turn: %v", err)
	}
	ends[0]()
	if done, err := turn(ctx); err != nil {
		t.Error(err)
	} else {
		done()
	}
	for pattern, want := range map[string]bool{"GET /containers/json": true, "GET /containers/{id}/json": true, "GET /info": true,
		"GET /events": false, "GET /containers/{id}/logs": false, "POST /containers/{id}/start": false, "GET /_ping": false,
		"POST /containers/{id}/wait": false, "GET /containers/{id}/stats": false} {
		if got := computes(pattern, ""); got != want {
			t.Errorf("%s computes: %v", pattern, got)
		}
	}
	if !computes("/images/", "/images/a/b/json") || computes("/images/", "/images/a/b/get") {
		t.Error("images")
	}
}

// A client that never reads its events holds up nobody, and is let go: by the bus, which it is too far behind of.
func TestAClientThatNeverReadsItsEvents(t *testing.T) {
	socket, s := openDoor(t, Bounds{All: 50, One: 50})
	deaf := dial(t, socket, eventsRequest)
	eventually(t, "its stream", func() bool { return s.Bus.Count() == 1 })
	hearing := dial(t, socket, eventsRequest)
	eventually(t, "both streams", func() bool { return s.Bus.Count() == 2 })
	heard := make(chan int)
	const events2 = 3000
	go func() {
		n := 0
		in := bufio.NewReader(hearing)
		for n < events2 {
			line, err := in.ReadBytes('\n')
			if err != nil {
				break
			}
			n += bytes.Count(line, []byte(`"Action":"exec_create`))
		}
		heard <- n
	}()
	text := events.Action("exec_create: " + strings.Repeat("x", 4<<10))
	for i := range events2 {
		s.Bus.Publish(events.ContainerEventType, text, "c", nil)
		if i%100 == 0 {
			time.Sleep(5 * time.Millisecond) // the one that reads is no slow one
		}
	}
	if n := <-heard; n != events2 {
		t.Errorf("the one that reads got %d of %d events", n, events2)
	}
	// What is behind finds that out when it gets to write again, or when its patience ends.
	eventually(t, "the deaf one dropped", func() bool { return s.Bus.Count() == 1 })
	deaf.Close()
}
