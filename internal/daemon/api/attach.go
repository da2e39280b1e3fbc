package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/policy"
)

func (s *Server) containerAttach(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	o, err := attachOptions(r)
	if err != nil {
		return err
	}
	if r.ContentLength > 0 { // dockerode repeats its options there: a body that has an end is not what somebody types
		if _, err := readBody(w, r, maxBody); err != nil {
			return err
		}
	}
	v := c.View()
	if v.Paused {
		return fmt.Errorf("container %s is paused, unpause the container before attach: %w", r.PathValue("id"), errdefs.ErrConflict)
	}
	tty := v.Config.Tty
	until, err := runCondition(r, tty)
	if err != nil {
		return err
	}
	if until != "" {
		return s.containerRun(w, r, c, o, until, "")
	}
	place := c.Attach(o) // before the reply, upon which the client starts the container
	defer place.Close()
	conn, err := hijack(w, r, !tty)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := place.Serve(context.WithoutCancel(r.Context()), conn); err != nil {
		slog.Info("attach", "id", c.ID()[:12], "error", err)
	}
	return nil
}

func attachOptions(r *http.Request) (container.AttachOptions, error) {
	keys, err := policy.ParseDetachKeys(r.FormValue("detachKeys"))
	if err != nil {
		return container.AttachOptions{}, fmt.Errorf("--detach-keys: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return container.AttachOptions{
		Logs: boolParam(r, "logs"), Stream: boolParam(r, "stream"), DetachKeys: keys,
		Stdin: boolParam(r, "stdin"), Stdout: boolParam(r, "stdout"), Stderr: boolParam(r, "stderr"),
	}, nil
}

func (s *Server) containerLogs(w http.ResponseWriter, r *http.Request) error {
	q, o, err := logQuery(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	if !c.Log().Readable() {
		return fmt.Errorf("%w: %w", log.ErrNoLog, errdefs.ErrNotImplemented)
	}
	v := c.View()
	mux := !v.Config.Tty
	w.Header().Set("Content-Type", contentType(r, mux))
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	if err := flush.Flush(); err != nil {
		return nil
	}
	err = c.Log().Read(r.Context(), q, func(rec log.Record) error {
		if err := container.WriteFrame(w, mux, rec.Stream, o.line(rec)); err != nil {
			return err
		}
		if q.Follow {
			return flush.Flush()
		}
		return nil
	})
	if err != nil && r.Context().Err() == nil {
		slog.Info("logs", "id", c.ID()[:12], "error", err)
	}
	return nil
}

type logFormat struct{ timestamps, details bool }

// line is a line as it is printed. Details are the attributes like a query, and a blank even if there are none, as Docker's.
func (o logFormat) line(rec log.Record) []byte {
	if !o.timestamps && !o.details {
		return rec.Text
	}
	var b []byte
	if o.timestamps {
		b = append(rec.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000000Z07:00"), ' ')
	}
	if o.details {
		for i, a := range rec.Attrs {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, url.QueryEscape(a.Key)...), '='), url.QueryEscape(a.Value)...)
		}
		b = append(b, ' ')
	}
	return append(b, rec.Text...)
}

// logQuery reads the parameters of a logs request.
func logQuery(v url.Values, now time.Time) (q log.Query, o logFormat, err error) {
	on := func(name string) bool {
		s := strings.ToLower(v.Get(name))
		return s != "" && s != "0" && s != "false" && s != "no" && s != "none"
	}
	q = log.Query{Stdout: on("stdout"), Stderr: on("stderr"), Follow: on("follow")}
	o.timestamps, o.details = on("timestamps"), on("details")
	q.Details = o.details
	if !q.Stdout && !q.Stderr {
		return q, o, fmt.Errorf("Bad parameters: you must choose at least one stream: %w", errdefs.ErrInvalidArgument)
	}
	q.Tail = parseTail(v.Get("tail"))
	if q.Since, err = ParseTime(v.Get("since"), now); err != nil {
		return q, o, err
	}
	q.Until, err = ParseTime(v.Get("until"), now)
	return q, o, err
}

// parseTail reads a number of lines. What is none means all of them, as in Docker, whose clients send "all".
func parseTail(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// patience is how long one value of a stream may wait for a client that does not read. Output of containers has none: a
// person may have stopped its terminal.
const patience = time.Minute

// writeLine writes one JSON value of a stream and sends it; false when there is nobody who reads it.
func writeLine(w http.ResponseWriter, v any) bool {
	b, err := json.Marshal(v)
	if err != nil {
		slog.Error("encode a reply", "error", err)
		return true
	}
	c := http.NewResponseController(w)
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	if _, err = w.Write(append(b, '\n')); err == nil {
		err = c.Flush()
	}
	_ = c.SetWriteDeadline(time.Time{}) // the connection may be used again
	return err == nil
}
