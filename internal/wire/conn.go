package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/memfile"
)

// Limits of one packet.
const (
	// MaxInline is the largest body that travels inside a packet (a SOCK_SEQPACKET packet must fit the send buffer).
	MaxInline = 96 << 10
	// MaxBody is the largest body; larger ones than MaxInline travel in a memory file as the first descriptor.
	MaxBody = 4 << 20
	// MaxFDs is how many descriptors one packet may carry, below what the kernel bears (SCM_MAX_FD, 253).
	MaxFDs = 250
	// maxPacket is the largest packet: a body and what is around it.
	maxPacket = MaxInline + 4096
)

// Frame is what a packet holds: a line of JSON, and after it the body, or in it the size of the body that is in the
// first descriptor. Keys name the descriptors that the keeper holds.
//
//	{"id":7,"op":"container.start"}⏎     every byte of a body is then read once, and not as a value inside a value as well
//	{"id":"…                             the body, JSON too
type Frame struct {
	ID    uint64          `json:"id"`
	Op    Op              `json:"op,omitempty"`
	Error *Error          `json:"error,omitempty"`
	Keys  []string        `json:"keys,omitempty"`
	Body  json.RawMessage `json:"-"`
	Mem   int64           `json:"mem,omitempty"`
}

// Conn is a SOCK_SEQPACKET connection that carries frames and descriptors. Send is safe for concurrent use; Receive is
// for one goroutine.
type Conn struct {
	c   *net.UnixConn
	mu  sync.Mutex
	buf []byte
	oob []byte
}

// ErrTooLarge says that a message was not sent because of its size.
var ErrTooLarge = errors.New("message too large")

// NewConn takes over c.
func NewConn(c *net.UnixConn) *Conn {
	return &Conn{c: c, buf: make([]byte, maxPacket), oob: make([]byte, unix.CmsgSpace(4*MaxFDs))}
}

// FileConn makes a Conn of an inherited descriptor, which it takes over.
func FileConn(fd int, name string) (*Conn, error) {
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return nil, fmt.Errorf("%s: descriptor %d is not open", name, fd)
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s: descriptor %d is no unix socket", name, fd)
	}
	return NewConn(uc), nil
}

// Pair makes a connection: an end for this process, and a descriptor for the peer of that name.
func Pair(peer string) (conn *Conn, theirs int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("socket pair: %w", err)
	}
	if conn, err = FileConn(pair[0], peer); err != nil {
		unix.Close(pair[1])
		return nil, -1, err
	}
	return conn, pair[1], nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.c.Close() }

// Raw gives the connection itself, to ask the kernel who the peer is.
func (c *Conn) Raw() *net.UnixConn { return c.c }

// Send writes one frame. The descriptors stay open in this process.
func (c *Conn) Send(f *Frame, fds []int) error {
	if len(f.Body) > MaxBody {
		return fmt.Errorf("%w: %d bytes are over the limit of %d", ErrTooLarge, len(f.Body), MaxBody)
	}
	if len(f.Body) > MaxInline {
		mem, err := memfile.Seal("brig-body", bytes.NewReader(f.Body))
		if err != nil {
			return err
		}
		defer mem.Close()
		f.Mem, f.Body = int64(len(f.Body)), nil
		fds = append([]int{int(mem.Fd())}, fds...)
	}
	if len(fds) > MaxFDs {
		return fmt.Errorf("%w: a packet carries at most %d descriptors, not %d", ErrTooLarge, MaxFDs, len(fds))
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode %s: %w", f.Op, err)
	}
	if b = append(append(b, '\n'), f.Body...); len(b) > maxPacket {
		return fmt.Errorf("%w: a packet of %d bytes is over the limit of %d", ErrTooLarge, len(b), maxPacket)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, err = c.c.WriteMsgUnix(b, oob, nil)
	return err
}

// Receive reads one frame and its descriptors, which the caller owns. A frame that breaks a rule closes what came with
// it and is an error; the connection is then of no more use.
func (c *Conn) Receive() (*Frame, []int, error) {
	n, oobn, flags, _, err := c.c.ReadMsgUnix(c.buf, c.oob)
	fds, rightsErr := Rights(c.oob[:oobn]) // also at the end: Go calls a packet of no bytes so
	if err = cmp.Or(err, rightsErr); err == nil && n == 0 && len(fds) == 0 {
		return nil, nil, io.EOF
	}
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("a packet was larger than the protocol allows")
	}
	var f Frame
	if err == nil {
		head, body, _ := bytes.Cut(c.buf[:n], []byte{'\n'})
		err = DecodeStrict(head, &f)
		f.Body = bytes.Clone(body)
	}
	if err == nil && f.Mem != 0 {
		fds, err = f.fetch(fds)
	}
	if err != nil {
		CloseAll(fds)
		return nil, nil, err
	}
	return &f, fds, nil
}

// fetch reads the body from the first descriptor, whose size must not be able to change.
func (f *Frame) fetch(fds []int) ([]int, error) {
	if len(f.Body) != 0 || len(fds) == 0 || f.Mem < 0 || f.Mem > MaxBody {
		return fds, errors.New("a packet names a body that is not there")
	}
	mem := os.NewFile(uintptr(fds[0]), "the body of a packet")
	defer mem.Close()
	fds = fds[1:]
	seals, err := unix.FcntlInt(mem.Fd(), unix.F_GET_SEALS, 0)
	want := unix.F_SEAL_SHRINK | unix.F_SEAL_WRITE
	if err != nil || seals&want != want {
		return fds, errors.New("the body of a packet is not sealed")
	}
	f.Body = make([]byte, f.Mem)
	f.Mem = 0
	if _, err = mem.ReadAt(f.Body, 0); err != nil { // never as io.EOF, which is the end of the connection
		return fds, fmt.Errorf("read the body of a packet: %w: %v", io.ErrUnexpectedEOF, err)
	}
	return fds, nil
}

// Rights takes the descriptors out of control data. Go receives them close-on-exec.
func Rights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control data: %w", err)
	}
	var fds []int
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil { // others are credentials
			fds = append(fds, got...)
		}
	}
	return fds, nil
}

// DecodeStrict decodes exactly one JSON value and refuses fields that v does not have.
func DecodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("message: more than one value")
	}
	return nil
}

// CloseAll closes descriptors; -1 is skipped.
func CloseAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
