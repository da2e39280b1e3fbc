package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of one published UDP port.
const (
	maxSessions    = 512
	sessionTimeout = 90 * time.Second // without a datagram in either direction
	maxDatagram    = 65535
)

// session is one client of a UDP port, with a socket of its own towards the container, by which answers are told apart.
type session struct {
	key  sessionKey
	conn *net.UDPConn
	oob  []byte // control message that makes answers leave from the address that the client wrote to
}

type sessionKey struct {
	client netip.AddrPort
	local  netip.Addr
}

// relay carries datagrams between clients of u and target. Each session is bounded in time, and all in number: beyond
// that a new client's datagrams are dropped, as UDP may.
func relay(ctx context.Context, u *net.UDPConn, target netip.AddrPort) {
	r := &relayer{u: u, target: target, sessions: map[sessionKey]*session{}}
	defer r.end()
	if err := wantLocal(u); err != nil {
		return
	}
	buf, oob := make([]byte, maxDatagram), make([]byte, 128)
	for {
		n, oobn, _, from, err := u.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			pause(ctx, time.Millisecond) // an ICMP error of an earlier answer
			continue
		}
		local, reply := answerFrom(oob[:oobn])
		if s := r.session(sessionKey{from, local}, reply); s != nil {
			_ = s.conn.SetReadDeadline(time.Now().Add(sessionTimeout))
			_, _ = s.conn.Write(buf[:n]) // a refusal is read by the other direction
		}
	}
}

type relayer struct {
	u      *net.UDPConn
	target netip.AddrPort
	wg     sync.WaitGroup

	mu       sync.Mutex
	sessions map[sessionKey]*session
}

func (r *relayer) session(key sessionKey, oob []byte) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[key]; s != nil {
		return s
	}
	if len(r.sessions) >= maxSessions {
		return nil
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.target))
	if err != nil {
		return nil
	}
	s := &session{key: key, conn: c, oob: oob}
	r.sessions[key] = s
	r.wg.Go(func() { r.back(s) })
	return s
}

// back carries answers until the session is idle for too long or ends.
func (r *relayer) back(s *session) {
	defer func() {
		r.mu.Lock()
		delete(r.sessions, s.key)
		r.mu.Unlock()
		s.conn.Close()
	}()
	buf := make([]byte, maxDatagram)
	for {
		n, err := s.conn.Read(buf)
		if errors.Is(err, unix.ECONNREFUSED) {
			continue // nothing listens yet; the client may try again until the deadline
		}
		if err != nil {
			return
		}
		_ = s.conn.SetReadDeadline(time.Now().Add(sessionTimeout))
		_, _, _ = r.u.WriteMsgUDPAddrPort(buf[:n], s.oob, s.key.client)
	}
}

func (r *relayer) end() {
	r.mu.Lock()
	for _, s := range r.sessions {
		s.conn.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// wantLocal makes the kernel say to which of the host's addresses a datagram was sent.
func wantLocal(u *net.UDPConn) error {
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	six := false
	if a, ok := u.LocalAddr().(*net.UDPAddr); ok {
		six = a.IP.To4() == nil
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		if six {
			set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else {
			set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	return errors.Join(err, set)
}

// answerFrom reads the packet information of a datagram and builds the control message for its answers.
func answerFrom(oob []byte) (local netip.Addr, reply []byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}, nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			info := unix.Inet4Pktinfo{Spec_dst: [4]byte(m.Data[4:8])}
			return netip.AddrFrom4(info.Spec_dst), unix.PktInfo4(&info)
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO &&
			len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := unix.Inet6Pktinfo{Addr: [16]byte(m.Data[:16])}
			return netip.AddrFrom16(info.Addr), unix.PktInfo6(&info)
		}
	}
	return netip.Addr{}, nil
}
