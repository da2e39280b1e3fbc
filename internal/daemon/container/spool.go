package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A spool is a small file in brigd's volatile directory through which every byte of a FIFO goes on its way to the log.
// The first byte makes it:
//
//	bytes 0–7     how many bytes were logged (little endian)
//	byte 4096 …   the bytes, at 4096 + their number; what was logged is punched out, so the file holds next to nothing
//
//	splice(FIFO → spool)      moves bytes in the kernel: they are in one of the two at every moment, and the size of the
//	                          file says how many
//	append to the log         the whole lines; the rest of a line stays here
//	write the counter
//
// A brigd that is killed anywhere in between leaves a spool whose size and counter say what to log at the next start:
// each byte at least once, a gap never. Only a kill between the last two steps records some lines twice.
const spoolStart = 4096

// errSpool marks errors of the spool itself.
var errSpool = errors.New("spool")

type spool struct {
	f      *os.File
	logged int64 // bytes
	size   int64 // bytes that were ever put in
}

func openSpool(path string) (*spool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	s := &spool{f: f, size: max(0, st.Size()-spoolStart)}
	var head [8]byte
	if _, err := f.ReadAt(head[:], 0); err == nil {
		s.logged = min(int64(binary.LittleEndian.Uint64(head[:])), s.size)
	}
	return s, nil
}

// fill moves up to chunkSize bytes from fd. 0 is the end of the stream; EAGAIN means that there is nothing now.
func (s *spool) fill(fd int) (int, error) {
	for {
		off := spoolStart + s.size
		n, err := unix.Splice(fd, nil, int(s.f.Fd()), &off, chunkSize, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, err
		case err != nil:
			return 0, fmt.Errorf("%w: %w", errSpool, err)
		}
		s.size += n
		return int(n), nil
	}
}

// rest reads what was not logged yet into buf.
func (s *spool) rest(buf []byte) ([]byte, error) {
	want := min(s.size-s.logged, int64(len(buf)))
	n, err := s.f.ReadAt(buf[:want], spoolStart+s.logged)
	if int64(n) < want {
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	return buf[:n], nil
}

// done counts n more bytes as logged and gives their pages back.
func (s *spool) done(n int) error {
	if n == 0 {
		return nil
	}
	s.logged += int64(n)
	var head [8]byte
	binary.LittleEndian.PutUint64(head[:], uint64(s.logged))
	if _, err := s.f.WriteAt(head[:], 0); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	if whole := s.logged &^ 4095; whole > 0 {
		// Where holes cannot be punched the file only grows.
		_ = unix.Fallocate(int(s.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, spoolStart, whole)
	}
	return nil
}

// nothing tells that the FIFO is empty, and whether it has no writer any more. The writers are looked at first: what the
// last one wrote is seen by the second look. That is for buffers and not for bytes: before Linux 6.15 a write that fails
// leaves an empty buffer behind, which has to be taken out, or it would be something to read for ever.
func nothing(fd int) (empty, end bool) {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	if _, err := unix.Poll(fds, 0); err != nil {
		return false, false
	}
	end = fds[0].Revents&unix.POLLHUP != 0
	fds[0].Events = unix.POLLIN
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLIN == 0, end
}

// takeSpooled empties the FIFO through the spool, which is made by the first byte: many a program writes to one stream
// or to none.
func (p *pump) takeSpooled(fd int) (end bool, err error) {
	if empty, end := nothing(fd); empty {
		return end, nil
	}
	s, err := openSpool(p.spool)
	if err != nil {
		return false, err
	}
	defer s.f.Close()
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	for {
		n, err := s.fill(fd)
		if err == unix.EAGAIN {
			return false, nil
		}
		if err != nil || n == 0 {
			return true, err
		}
		b, err := s.rest(*buf)
		if err != nil {
			return true, err
		}
		whole := loggable(b)
		p.append(b[:whole])
		if err := s.done(whole); err != nil {
			p.warn(err)
		}
		p.hub.publish(p.stream, b[len(b)-n:])
	}
}

// replay logs what a killed brigd had taken and not logged.
func (p *pump) replay() {
	if _, err := os.Stat(p.spool); err != nil {
		return
	}
	s, err := openSpool(p.spool)
	if err != nil {
		p.warn(err)
		return
	}
	defer s.f.Close()
	p.logRest(s, loggable)
}

func (p *pump) flushSpool() {
	if _, err := os.Stat(p.spool); err != nil {
		return
	}
	s, err := openSpool(p.spool)
	if err == nil {
		p.logRest(s, func(b []byte) int { return len(b) })
		s.f.Close()
	}
	if err := errors.Join(err, os.Remove(p.spool)); err != nil {
		p.warn(err)
	}
}

// logRest logs what take chooses of the rest, until it chooses nothing.
func (p *pump) logRest(s *spool, take func([]byte) int) {
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	for {
		b, err := s.rest(*buf)
		if err != nil {
			p.warn(err)
			return
		}
		n := take(b)
		if n == 0 {
			return
		}
		p.append(b[:n])
		if err := s.done(n); err != nil {
			p.warn(err)
			return
		}
	}
}

// abandonSpool goes on with direct reads; what the spool still holds comes first.
func (p *pump) abandonSpool() {
	if s, err := openSpool(p.spool); err == nil {
		if b, err := s.rest(make([]byte, chunkSize+lineMax)); err == nil {
			p.tail = b
		}
		s.f.Close()
	}
	if err := os.Remove(p.spool); err != nil && !errors.Is(err, os.ErrNotExist) {
		p.warn(err)
	}
	p.spool = ""
}
