package log

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/brig-engine/brig/internal/daemon/log/journald"
	"github.com/brig-engine/brig/internal/daemon/log/syslog"
)

// Receivers are the places of the machine's own receivers; where a field is empty, the usual ones.
type Receivers struct {
	Journal string
	Syslog  []string
}

// remoteSink is a receiver, which may be away for a while.
type remoteSink interface {
	sink
	connect(ctx context.Context) error
}

func (l *Log) remote(m Meta) remoteSink {
	r := l.src.Receivers
	if l.opt.Driver == DriverSyslog {
		if r.Syslog == nil {
			r.Syslog = syslog.Local()
		}
		return &syslogSink{o: l.opt.Syslog, tag: m.Tag, local: r.Syslog}
	}
	if r.Journal == "" {
		r.Journal = journald.Socket
	}
	return newJournalSink(r.Journal, l.src.Info(), m)
}

// partState is where a stream is within a line that comes in pieces.
type partState struct {
	id     string
	number int
}

// messages makes one message of each line of p. A line that is longer than MaxLine, or has no end, comes in pieces.
func (l *Log) messages(stream byte, at time.Time, p []byte) (ms []message) {
	p = bytes.Clone(p)
	state := &l.parts[stream&1] // one stream is appended to by one goroutine
	for len(p) > 0 {
		n := lineLen(p)
		m := message{stream: stream, at: at, text: p[:n], lines: 1}
		p = p[n:]
		ended := m.text[n-1] == '\n'
		if ended {
			m.text = m.text[:n-1]
		}
		if !ended || state.id != "" {
			if state.id == "" {
				state.id = rand.Text()
			}
			state.number++
			m.part = part{state.id, state.number, ended}
		}
		if ended {
			*state = partState{}
		}
		ms = append(ms, m)
	}
	return ms
}

// syslogSink sends to a syslog.
type syslogSink struct {
	o     *syslog.Options
	tag   string
	local []string
	conn  *syslog.Conn
}

func (s *syslogSink) connect(ctx context.Context) (err error) {
	s.conn, err = syslog.Dial(ctx, s.o, s.tag, s.local)
	return err
}

func (s *syslogSink) send(m message, deadline time.Time) error {
	if len(m.text) == 0 {
		return nil // as Docker: syslog has no empty messages
	}
	severity := syslog.Info
	if m.stream == Stderr {
		severity = syslog.Err
	}
	old := s.conn != nil
	for {
		if err := connected(s, s.conn != nil, deadline); err != nil {
			return err
		}
		err := s.conn.Send(severity, m.at, m.text, deadline)
		if err == nil {
			return nil
		}
		s.close()
		if !old || !time.Now().Before(deadline) {
			return err
		}
		old = false // the receiver may have been started anew: once more, with a new connection
	}
}

func (s *syslogSink) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// connected connects unless it is.
func connected(s remoteSink, is bool, deadline time.Time) error {
	if is {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	return s.connect(ctx)
}

// journalSink sends to the journal.
type journalSink struct {
	path   string
	fields []byte // what every entry has
	count  uint64
	conn   *journald.Conn
	buf    []byte
}

// ours are fields that no label and no variable can replace: images have labels, too.
var ours = map[string]bool{"MESSAGE": true, "PRIORITY": true, "SYSLOG_IDENTIFIER": true, "SYSLOG_TIMESTAMP": true,
	"CONTAINER_ID": true, "CONTAINER_ID_FULL": true, "CONTAINER_NAME": true, "CONTAINER_TAG": true, "IMAGE_NAME": true,
	"CONTAINER_PARTIAL_MESSAGE": true, "CONTAINER_PARTIAL_ID": true, "CONTAINER_PARTIAL_ORDINAL": true,
	"CONTAINER_PARTIAL_LAST": true, "CONTAINER_LOG_EPOCH": true, "CONTAINER_LOG_ORDINAL": true}

func newJournalSink(path string, i Info, m Meta) *journalSink {
	s := &journalSink{path: path}
	s.field("CONTAINER_ID", i.ID[:min(len(i.ID), shorten)])
	s.field("CONTAINER_ID_FULL", i.ID)
	s.field("CONTAINER_NAME", i.Name)
	s.field("CONTAINER_TAG", m.Tag)
	s.field("IMAGE_NAME", i.Image)
	s.field("SYSLOG_IDENTIFIER", m.Tag)
	s.field("CONTAINER_LOG_EPOCH", rand.Text())
	seen := map[string]bool{}
	for _, a := range m.Attrs {
		name := journald.Name(a.Key)
		if name == "" || ours[name] || seen[name] {
			continue
		}
		seen[name] = true
		s.field(name, a.Value)
	}
	return s
}

func (s *journalSink) field(name, value string) {
	s.fields = journald.AppendField(s.fields, name, []byte(value))
}

func (s *journalSink) connect(context.Context) (err error) {
	s.conn, err = journald.Dial(s.path)
	return err
}

func (s *journalSink) send(m message, deadline time.Time) error {
	if err := connected(s, s.conn != nil, deadline); err != nil {
		return err
	}
	s.buf = s.entry(s.buf[:0], m)
	if err := s.conn.Send(s.buf, deadline); err != nil {
		s.close()
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.count++
	if cap(s.buf) > 2*MaxLine+2*len(s.fields) {
		s.buf = nil
	}
	return nil
}

func (s *journalSink) entry(b []byte, m message) []byte {
	text := func(name, value string) { b = journald.AppendField(b, name, []byte(value)) }
	priority := syslog.Info
	if m.stream == Stderr {
		priority = syslog.Err
	}
	text("PRIORITY", strconv.Itoa(priority))
	b = journald.AppendField(b, "MESSAGE", m.text)
	b = append(b, s.fields...)
	text("SYSLOG_TIMESTAMP", m.at.UTC().Format(time.RFC3339Nano))
	text("CONTAINER_LOG_ORDINAL", strconv.FormatUint(s.count+1, 10))
	if m.part.id != "" {
		text("CONTAINER_PARTIAL_ID", m.part.id)
		text("CONTAINER_PARTIAL_ORDINAL", strconv.Itoa(m.part.number))
		text("CONTAINER_PARTIAL_LAST", strconv.FormatBool(m.part.last))
		if !m.part.last {
			text("CONTAINER_PARTIAL_MESSAGE", "true")
		}
	}
	return b
}

func (s *journalSink) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}
