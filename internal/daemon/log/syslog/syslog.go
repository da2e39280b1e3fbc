// Package syslog sends messages to syslog: the machine's own, or one behind a socket of any kind.
//
// Zone: brigd.
// Input: an address, a tag and files of certificates that a caller chose; lines that a container chose.
// Output: messages in the formats of Docker's driver, which are srslog's; one write for each.
// Spec: RFC 3164, RFC 5424, RFC 5425 (the length in front of a message, over TLS).
// Answers: A2 (connecting and each write have a deadline), A6 (addresses of nobody and of the machine's surroundings are
// refused, by name and by what the name led to; TLS is verified unless the caller says otherwise).
package syslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
)

// Severities.
const (
	Err  = 3
	Info = 6
)

// Local are the sockets of the machine's own syslog, in the order in which they are tried.
func Local() []string { return []string{"/dev/log", "/var/run/syslog", "/var/run/log"} }

// Conn is a connection, for one goroutine.
type Conn struct {
	o    *Options
	c    net.Conn
	host string
	tag  string
	gone atomic.Bool // the other side has closed it
	buf  []byte
}

// Dial connects. local are the sockets of the machine's own syslog.
func Dial(ctx context.Context, o *Options, tag string, local []string) (*Conn, error) {
	c, err := dial(ctx, o, local)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	s := &Conn{o: o, c: c, host: host, tag: clean(tag, o.Format)}
	if o.Network == "unix" || o.Network == "tcp" || o.Network == secure {
		// Nobody answers; but the end of what comes says at once that nobody listens any more.
		go func() {
			_, _ = io.Copy(io.Discard, c)
			s.gone.Store(true)
		}()
	}
	return s, nil
}

func dial(ctx context.Context, o *Options, local []string) (net.Conn, error) {
	d := &net.Dialer{Control: func(network, address string, _ syscall.RawConn) error {
		if strings.HasPrefix(network, "unix") {
			return nil
		}
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return allowed(a.Addr())
	}}
	switch o.Network {
	case "":
		for _, network := range []string{"unixgram", "unix"} {
			for _, path := range local {
				if c, err := d.DialContext(ctx, network, path); err == nil {
					return c, nil
				}
			}
		}
		return nil, errors.New("Unix syslog delivery error: no syslog listens at " + strings.Join(local, ", ")) //nolint:staticcheck // Docker's words
	case secure:
		return o.dialTLS(ctx, d)
	}
	c, err := d.DialContext(ctx, o.Network, o.Address)
	return c, o.reason(err)
}

// reason words an error without what clients take for one of the container's program, which has exit statuses of its own.
func (o *Options) reason(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("no syslog listens at %s", o.Address)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("brigd may not connect to %s: it does so as id %d, without privileges", o.Address, os.Getuid())
	}
	return err
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// Send sends one message.
func (c *Conn) Send(severity int, at time.Time, text []byte, deadline time.Time) error {
	if c.gone.Load() {
		return errors.New("the receiver has closed the connection")
	}
	if err := c.c.SetWriteDeadline(deadline); err != nil {
		return err
	}
	c.buf = c.message(c.buf[:0], severity, at, text)
	_, err := c.c.Write(c.buf)
	return err
}

// message appends a message, framed.
func (c *Conn) message(b []byte, severity int, at time.Time, text []byte) []byte {
	p, pid := c.o.Facility<<3|severity, os.Getpid()
	at = at.Local()
	switch c.o.Format {
	case "":
		b = fmt.Appendf(b, "<%d>%s %s[%d]: ", p, at.Format(time.Stamp), c.tag, pid)
	case rfc3164:
		b = fmt.Appendf(b, "<%d>%s %s %s[%d]: ", p, at.Format(time.Stamp), c.host, c.tag, pid)
	default:
		layout := time.RFC3339
		if c.o.Format == rfc5424micro {
			layout = "2006-01-02T15:04:05.000000Z07:00"
		}
		b = fmt.Appendf(b, "<%d>1 %s %s %s %d %s - ", p, at.Format(layout), c.host, c.tag, pid, c.tag)
	}
	b = append(append(b, text...), '\n')
	if c.o.Network == secure && (c.o.Format == rfc5424 || c.o.Format == rfc5424micro) {
		head := append(strconv.AppendInt(nil, int64(len(b)), 10), ' ')
		b = append(head, b...)
	}
	return b
}

// clean makes a tag that ends no line and, where a blank ends a field, no field.
func clean(tag, format string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) && strings.HasPrefix(format, rfc5424) {
			return '_'
		}
		return r
	}, tag)
}
