package api

import (
	"context"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/daemon/ps"
)

// pausing answers pause and unpause.
func (s *Server) pausing(do func(context.Context, *container.Container) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := s.find(r)
		if err != nil {
			return err
		}
		if err := do(r.Context(), c); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (s *Server) containerUpdate(w http.ResponseWriter, r *http.Request) error {
	q, err := decodeBody(w, r, maxBody, policy.DecodeUpdate)
	if err != nil {
		return err
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	fd, err := callerFD(r)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	warnings, err := s.Engine.Update(r.Context(), c, q, fd)
	if err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, apicontainer.UpdateResponse{Warnings: append([]string{}, warnings...)})
	return nil
}

func (s *Server) containerTop(w http.ResponseWriter, r *http.Request) error {
	columns, err := ps.Options(r.FormValue("ps_args"))
	if err != nil {
		return err
	}
	c, err := s.find(r)
	if err != nil {
		return err
	}
	texts, err := c.Processes(r.Context())
	if err != nil {
		return err
	}
	v := c.View()
	h := ps.Host{Range: v.Run.Range, Now: time.Now(), Up: uptime(), Memory: s.Host.MemoryTotal}
	h.User, h.Group = s.Engine.NamesIn(&v)
	titles, rows := ps.Table(columns, texts, &h)
	s.Engine.Shown(c, events.ActionTop)
	WriteJSON(w, http.StatusOK, apicontainer.TopResponse{Titles: titles, Processes: rows})
	return nil
}

func uptime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// statsInterval is how often a client that stays is told.
const statsInterval = time.Second

func (s *Server) containerStats(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	sampler := &sampler{c: c}
	defer sampler.close()
	stream := r.FormValue("stream") == "" && !r.Form.Has("stream") || boolParam(r, "stream")
	if !stream {
		v, err := sampler.once(r.Context(), boolParam(r, "one-shot") && Version(r) >= 41)
		if err == nil {
			WriteJSON(w, http.StatusOK, v)
		}
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil
	}
	for {
		v, err := sampler.next(r.Context())
		if err != nil {
			return nil // there is no warden: the client sees the end
		}
		if !writeLine(w, v) || !sampler.wait(r.Context()) {
			return nil
		}
	}
}

// sampler is one client's view of what a container uses: as in Docker, a container that does not run uses nothing, and a
// stream goes on until the container is removed.
type sampler struct {
	c     *container.Container
	meter *container.Meter // nil while it does not run
	last  apicontainer.StatsResponse
}

func (x *sampler) close() {
	if x.meter != nil {
		x.meter.Close()
		x.meter = nil
	}
}

// once waits for a second reading, unless the client wants the first at once.
func (x *sampler) once(ctx context.Context, atOnce bool) (v apicontainer.StatsResponse, err error) {
	v, err = x.next(ctx)
	if err != nil || atOnce || x.meter == nil {
		return v, err
	}
	if !x.wait(ctx) {
		return v, nil
	}
	return x.next(ctx)
}

func (x *sampler) next(ctx context.Context) (v apicontainer.StatsResponse, err error) {
	if x.meter == nil {
		x.meter, err = x.c.Meter(ctx)
		if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
			return v, err
		}
	}
	if x.meter != nil {
		v = x.meter.Read()
	} else {
		x.c.Named(&v)
	}
	v.PreRead, v.PreCPUStats = x.last.Read, x.last.CPUStats
	x.last = v
	return v, nil
}

// wait is for the next reading; false when there is none any more. What has ended meanwhile is let go at once.
func (x *sampler) wait(ctx context.Context) bool {
	t := time.NewTimer(statsInterval)
	defer t.Stop()
	for {
		var ended <-chan struct{}
		if x.meter != nil {
			ended = x.meter.Ended()
		}
		select {
		case <-ended:
			x.close()
		case <-x.c.Gone():
			return false
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		}
	}
}
