package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/common"
	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/wire"
)

// RunHeader makes one request of three or of four. A client of Brig that wants to run a container, or to execute a program
// in one, without a terminal sends it with the request to attach, or to create, and the condition that it would wait for:
//
//	POST /containers/{id}/attach?stream=1&stdout=1…     attach, wait, start
//	Brig-Run: next-exit | removed
//
//	101, Brig-Run: started                              or the answer to a start that failed
//	frames of streams 1 and 2                           what the program writes
//	one frame of stream 4                               the answer to the wait, as JSON
//
//	POST /containers/create?stream=1&stdout=1…          create, attach, wait, start
//	Brig-Run: next-exit | removed
//
//	101, Brig-Run: started                              or the answer to a creation or a start that failed
//	Brig-Created: {"Id":…,"Warnings":…}                 the answer to the creation, unless that failed
//	frames as above
//
//	POST /containers/{id}/exec                          create an exec, start it, inspect it
//	Brig-Run: exec
//
//	101, Brig-Run: started                              or the answer to a creation that failed
//	Brig-Created: {"Id":…}
//	frames of streams 1 and 2                           also the reason why the program could not be executed
//	one frame of stream 4                               {"StatusCode":…}
//
// An engine that does not know the header answers without it, and has only attached or created.
const (
	RunHeader     = "Brig-Run"
	CreatedHeader = "Brig-Created"
)

const (
	runExec      = "exec" // the value of RunHeader for it
	resultStream = 4
	// resultPatience is for the removal of a container whose output has ended.
	resultPatience = time.Minute
	// withdrawal is how long after its start a container goes with the client that made it.
	withdrawal = time.Second
)

// runCondition is what a request with RunHeader waits for, or "" of one without.
func runCondition(r *http.Request, tty bool) (container.Condition, error) {
	until := container.Condition(r.Header.Get(RunHeader))
	if until == "" || !tty && boolParam(r, "stream") && (until == container.NextExit || until == container.Removed) {
		return until, nil
	}
	return "", fmt.Errorf("%s: %.64q, of a container without a terminal: next-exit or removed: %w", RunHeader, until,
		errdefs.ErrInvalidArgument)
}

// runCreated goes on with a container that was made for this.
func (s *Server) runCreated(w http.ResponseWriter, r *http.Request, made apicontainer.CreateResponse,
	until container.Condition) error {
	created, err := json.Marshal(made)
	if err != nil {
		return err
	}
	w.Header().Set(CreatedHeader, string(created)) // of an error
	c, err := s.Engine.Find(made.ID)
	if err != nil {
		return err
	}
	o, err := attachOptions(r)
	if err != nil {
		return err
	}
	return s.containerRun(w, r, c, o, until, string(created))
}

// withdraw removes a container that was made by the same request, and whose client has gone so soon that a signal must
// have ended it: before the command line listens to signals, which takes it a moment, and maybe before it heard of the
// container. Nobody else knows of it.
func (s *Server) withdraw(ctx context.Context, c *container.Container, started time.Time) {
	if time.Since(started) < withdrawal {
		slog.Info("run withdrawn", "id", c.ID()[:12], "removal", s.Engine.Remove(ctx, c, true, true))
	}
}

// containerRun attaches, starts and waits. created is the answer to the creation by the same request, or "".
func (s *Server) containerRun(w http.ResponseWriter, r *http.Request, c *container.Container, o container.AttachOptions,
	until container.Condition, created string) error {
	fd, err := callerFD(r)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	// The end of a client's input is not the end of the client, which is what it would be taken for before the hijack.
	ctx := context.WithoutCancel(r.Context())
	wait, place := c.Wait(until), c.Attach(o)
	defer place.Close()
	if err := s.Engine.Start(ctx, c, fd); err != nil {
		return startError(err)
	}
	started := time.Now()
	head := []string{RunHeader + ": started"}
	if created != "" {
		head = append(head, CreatedHeader+": "+created)
	}
	conn, err := hijack(w, r, true, head...)
	if err != nil {
		if created != "" {
			s.withdraw(ctx, c, started)
		}
		return err
	}
	defer conn.Close()
	err = place.Serve(ctx, conn)
	gone := conn.Gone()
	if gone && created != "" {
		s.withdraw(ctx, c, started)
	}
	if err != nil || gone {
		slog.Info("run", "id", c.ID()[:12], "error", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resultPatience)
	defer cancel()
	exit, failed, err := wait.Done(ctx)
	if err != nil {
		return nil
	}
	if err := writeResult(conn, endReply(c, exit, failed)); err != nil {
		slog.Info("run", "id", c.ID()[:12], "error", err)
	}
	return nil
}

// writeResult is the last frame.
func writeResult(conn container.Conn, result waited) error {
	b, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return container.WriteFrame(conn, true, resultStream, b)
}

// execRun starts an exec that was made for this, and tells its end.
func (s *Server) execRun(w http.ResponseWriter, r *http.Request, made common.IDResponse) error {
	x, err := s.Engine.FindExec(made.ID)
	if err != nil {
		return err
	}
	created, err := json.Marshal(made)
	if err != nil {
		return err
	}
	var conn *stream
	err = x.Start(context.WithoutCancel(r.Context()), nil, func() (container.Conn, error) {
		conn, err = hijack(w, r, true, RunHeader+": started", CreatedHeader+": "+string(created))
		return conn, err
	})
	if conn == nil {
		return err
	}
	defer conn.Close()
	code := x.View().ExitCode
	if err != nil || code == nil { // the client has gone
		return nil
	}
	if err := writeResult(conn, waitReply(wire.Exit{Code: *code}, nil)); err != nil {
		slog.Info("exec", "id", made.ID[:12], "error", err)
	}
	return nil
}
