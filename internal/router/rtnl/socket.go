package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// patience is how long the kernel may take to answer: it answers before it returns from the request.
var patience = unix.Timeval{Sec: 10}

// Socket is one NETLINK_ROUTE socket. It may be used from any goroutine.
type Socket struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf []byte
}

// Open opens a socket of the namespace that the calling thread is in.
func Open() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return Take(fd)
}

// Take makes a Socket of a descriptor, which it takes over.
func Take(fd int) (*Socket, error) {
	for _, opt := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &patience); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("set up netlink: %w", err)
		}
	}
	return &Socket{fd: fd, buf: make([]byte, 16<<10)}, nil
}

// Close closes the descriptor.
func (s *Socket) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// Batch is a list of requests, each with what it is for.
type Batch struct {
	what     []string
	requests []*nl.NetlinkRequest
}

func (b *Batch) add(what string, r *nl.NetlinkRequest) {
	b.what, b.requests = append(b.what, what), append(b.requests, r)
}

// isFirst tells whether a request is one of FirstProgram's.
func (b *Batch) isFirst(at uint32) bool {
	r := b.requests[at]
	return r.Type == unix.RTM_NEWTFILTER && r.Flags&unix.NLM_F_EXCL != 0
}

// Do sends the batch in one datagram and returns the first error: the kernel is asked to acknowledge the last request,
// and tells of every one that failed.
func (s *Socket) Do(b *Batch) error {
	if len(b.requests) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.seq + 1
	var out []byte
	for i, r := range b.requests {
		s.seq++
		r.Seq = s.seq
		if i == len(b.requests)-1 {
			r.Flags |= unix.NLM_F_ACK
		}
		out = append(out, r.Serialize()...)
		out = append(out, make([]byte, -len(out)&(unix.NLMSG_ALIGNTO-1))...)
	}
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	var failed error
	err := s.receive(func(m *syscall.NetlinkMessage) bool {
		at := m.Header.Seq - first
		if m.Header.Type != unix.NLMSG_ERROR || at >= uint32(len(b.what)) || len(m.Data) < 4 {
			return false // of a batch whose answers nobody waited for
		}
		errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		if errno != 0 && failed == nil && !(errno == unix.EEXIST && b.isFirst(at)) {
			failed = fmt.Errorf("%s: %w", b.what[at], errno)
		}
		return m.Header.Seq == s.seq
	})
	return errors.Join(failed, err)
}

// OperState asks for the state of an interface, which the kernel brings up to date before it answers.
func (s *Socket) OperState(index int) (operState uint8, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	r.Seq = s.seq
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	r.AddData(m)
	const skipStatistics = 1 << 3
	r.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	if err := unix.Sendto(s.fd, r.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask for interface %d: %w", index, err)
	}
	var failed error
	err = s.receive(func(m *syscall.NetlinkMessage) bool {
		if m.Header.Seq != s.seq {
			return false
		}
		operState, failed = operStateOf(m)
		return true
	})
	if err = errors.Join(failed, err); err != nil {
		return 0, fmt.Errorf("ask for interface %d: %w", index, err)
	}
	return operState, nil
}

func operStateOf(m *syscall.NetlinkMessage) (uint8, error) {
	if m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4 {
		return 0, syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_OPERSTATE && len(a.Value) > 0 {
			return a.Value[0], nil
		}
	}
	return 0, err
}

// receive reads answers until done says that one was the last.
func (s *Socket) receive(done func(*syscall.NetlinkMessage) bool) error {
	for {
		n, from, err := unix.Recvfrom(s.fd, s.buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("the kernel's answer: %w", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not of the kernel
		}
		msgs, err := syscall.ParseNetlinkMessage(s.buf[:n])
		if err != nil {
			return fmt.Errorf("the kernel's answer: %w", err)
		}
		for i := range msgs {
			if done(&msgs[i]) {
				return nil
			}
		}
	}
}
