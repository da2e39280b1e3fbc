package container

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/log"
)

const (
	chunkSize = 64 << 10    // bytes that are taken from a stream at once
	lineMax   = log.MaxLine // a line that is longer is recorded in parts
)

// pump carries one stream from its descriptor to the log and to the attached clients. Waiting costs a parked goroutine
// and no buffer.
//
// A FIFO goes through a spool (spool.go), so that a kill of brigd loses nothing. A terminal cannot be spliced, and exec
// has no log: there bytes are read, then written, and a kill between the two loses what was just read.
type pump struct {
	stream byte
	f      *os.File
	hub    *hub
	log    *log.Log // nil: no log
	spool  string   // path; "": read directly
	warn   func(error)
	tail   []byte // the beginning of a line that was read directly
	warned time.Time
}

var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize+lineMax); return &b }}

// run ends when all writers have gone, or after finish was called and what was there is taken.
func (p *pump) run() {
	defer p.f.Close()
	rc, err := p.f.SyscallConn()
	if err != nil {
		p.warn(err)
		return
	}
	if p.spool != "" {
		p.replay()
	}
	for {
		err := rc.Read(func(fd uintptr) bool { return readable(int(fd)) })
		last := err != nil
		end := p.work(rc)
		if last || end {
			p.flush()
			return
		}
	}
}

// work empties the stream in a goroutine of its own, whose stack is given back: what waits for the next bytes, maybe
// for weeks, keeps the smallest one.
func (p *pump) work(rc syscall.RawConn) (end bool) {
	done := make(chan bool)
	go func() {
		end, err := p.take(rc)
		if err != nil {
			p.warn(err)
		}
		done <- end
	}()
	return <-done
}

// finish makes run take what is there and end.
func (p *pump) finish() { p.f.SetReadDeadline(time.Unix(1, 0)) }

// take empties the stream; end says that no writer is left.
func (p *pump) take(rc syscall.RawConn) (end bool, err error) {
	cerr := rc.Control(func(fd uintptr) {
		if p.spool != "" {
			if end, err = p.takeSpooled(int(fd)); !errors.Is(err, errSpool) {
				return
			}
			// The spool cannot be written (the file system is full): go on without it rather than stop the container.
			p.warn(err)
			p.abandonSpool()
		}
		end, err = p.takeDirect(int(fd))
	})
	if cerr != nil {
		return true, nil
	}
	return end, err
}

func (p *pump) takeDirect(fd int) (end bool, err error) {
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	for {
		n, err := unix.Read(fd, (*buf)[:chunkSize])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false, nil
		case err == unix.EIO || err == nil && n == 0: // a terminal says EIO when its last user has gone
			return true, nil
		case err != nil:
			return true, err
		default:
			b := (*buf)[:n]
			p.record(b)
			p.hub.publish(p.stream, b)
		}
	}
}

// record logs the whole lines of what is left over and b.
func (p *pump) record(b []byte) {
	if p.log == nil {
		return
	}
	if len(p.tail) > 0 {
		b = append(p.tail, b...)
		p.tail = nil
	}
	n := loggable(b)
	p.append(b[:n])
	p.tail = append([]byte(nil), b[n:]...)
}

func (p *pump) append(b []byte) {
	if p.log == nil || len(b) == 0 {
		return
	}
	now := time.Now()
	if err := p.log.Append(p.stream, now, b); err != nil && now.Sub(p.warned) > time.Minute {
		// The container goes on without its log: the disk is full, most likely. It must not fill ours with complaints.
		p.warned = now
		p.warn(err)
	}
}

// loggable is how much of b can be recorded now: up to the last line end, or (nearly) all when a line is over
// its bound.
func loggable(b []byte) int {
	n := bytes.LastIndexByte(b, '\n') + 1
	if len(b)-n >= lineMax {
		return log.Whole(b)
	}
	return n
}

// flush records a last line without an end and deletes the spool.
func (p *pump) flush() {
	p.append(p.tail)
	p.tail = nil
	if p.spool != "" {
		p.flushSpool()
	}
}

// readable tells whether a read would not block.
func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		return n != 0 || err != nil
	}
}
