package dns

import (
	"bytes"
	"context"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

func end(t *testing.T, fd int) *wire.Conn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "job")
	defer f.Close()
	c, err := net.FileConn(f)
	must(t, err)
	return wire.NewConn(c.(*net.UnixConn))
}

// The job as brigd gives it: listening sockets and connected ones by descriptor, TCP connections on request.
func TestJobWorksWithInheritedSocketsOnly(t *testing.T) {
	up, upTCP := resolver(t, honest)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u, err := net.Dial("udp", up)
	must(t, err)
	var files []*os.File
	for _, s := range []interface{ File() (*os.File, error) }{pc.(*net.UDPConn), l.(*net.TCPListener), u.(*net.UDPConn)} {
		f, err := s.File()
		must(t, err)
		files = append(files, f)
	}
	addr, addrTCP := pc.LocalAddr().String(), l.Addr().String()
	pc.Close()
	l.Close()
	u.Close()

	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan bool, 1)
	workerConn := end(t, pair[1])
	go func() {
		task, err := jobs.Read(workerConn, func() { ended <- true })
		if err != nil {
			t.Error(err)
			return
		}
		Job(task) // in a worker the end of the connection ends the process
	}()
	job := &jobs.Job{Kind: jobs.DNS, DNS: &jobs.DNSParams{Listen: 1, Streams: 1, Upstreams: 1}}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	brigd := end(t, pair[0])
	left := make(chan bool)
	go func() {
		defer close(left)
		jobs.Run(ctx, brigd, job, fds, jobs.Host{File: func(f jobs.File) (int, error) {
			if f.Name != "stream/0" {
				t.Errorf("asked for %q", f.Name)
			}
			c, err := net.Dial("tcp", upTCP)
			if err != nil {
				return -1, err
			}
			defer c.Close()
			file, err := c.(*net.TCPConn).File()
			if err != nil {
				return -1, err
			}
			t.Cleanup(func() { file.Close() })
			return int(file.Fd()), nil
		}})
	}()
	query := message(3, 0x0100, "example.org")
	got, err := ask1(t, addr, query)
	must(t, err)
	if !bytes.Equal(got, answerTo(query)) {
		t.Errorf("got %x", got)
	}
	c, err := net.Dial("tcp", addrTCP)
	must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	must(t, writeFrame(c, query))
	if long, err := readFrame(c); err != nil || len(long) < 3000 {
		t.Errorf("over TCP: %d bytes, %v", len(long), err)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Error("the worker did not hear that brigd is gone")
	}
	<-left
	for _, f := range files {
		f.Close()
	}
}

func TestJobRefusesDescriptorsThatDoNotFit(t *testing.T) {
	for _, p := range []jobs.DNSParams{{Listen: 1}, {Listen: 2, Streams: -1}, {Upstreams: -1}} {
		r, w, err := os.Pipe()
		must(t, err)
		if _, err := sockets([]*os.File{r, w}[:max(0, p.Listen)/2], p); err == nil {
			t.Errorf("%+v: accepted", p)
		}
		r.Close()
		w.Close()
	}
}
