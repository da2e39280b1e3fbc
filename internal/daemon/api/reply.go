package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/common"

	"github.com/brig-engine/brig/internal/daemon/container"
)

// Limits of request bodies in bytes.
const (
	maxBody       = 1 << 20
	maxCreateBody = 4 << 20
)

// status is the one place where errors become HTTP.
func status(err error) int {
	for _, c := range []struct {
		class error
		code  int
	}{
		{container.ErrNotModified, http.StatusNotModified},
		{errdefs.ErrNotFound, http.StatusNotFound},
		{errdefs.ErrInvalidArgument, http.StatusBadRequest},
		{errdefs.ErrAlreadyExists, http.StatusConflict},
		{errdefs.ErrConflict, http.StatusConflict},
		{errdefs.ErrFailedPrecondition, http.StatusConflict},
		{errdefs.ErrPermissionDenied, http.StatusForbidden},
		{errdefs.ErrNotImplemented, http.StatusNotImplemented},
		{errdefs.ErrResourceExhausted, http.StatusServiceUnavailable},
		{errdefs.ErrUnavailable, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, c.class) {
			return c.code
		}
	}
	return http.StatusInternalServerError
}

// WriteError answers with Docker's error object.
func WriteError(w http.ResponseWriter, err error) {
	code := status(err)
	if code == http.StatusNotModified {
		w.WriteHeader(code)
		return
	}
	WriteJSON(w, code, common.ErrorResponse{Message: message(err)})
}

// message is the sentence without the names of the classes, which are for programs.
func message(err error) string {
	s := err.Error()
	for _, class := range []error{errdefs.ErrNotFound, errdefs.ErrInvalidArgument, errdefs.ErrAlreadyExists,
		errdefs.ErrConflict, errdefs.ErrFailedPrecondition, errdefs.ErrPermissionDenied, errdefs.ErrNotImplemented,
		errdefs.ErrResourceExhausted, errdefs.ErrUnavailable, errdefs.ErrInternal} {
		s = strings.Replace(s, ": "+class.Error()+". Next: ", ". Next: ", 1)
		// Only one: what stands before it is part of the sentence ("permission denied").
		if cut, ok := strings.CutSuffix(s, ": "+class.Error()); ok && errors.Is(err, class) {
			return cut
		}
	}
	return s
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		slog.Error("encode a reply", "error", err)
		code, b = http.StatusInternalServerError, []byte(`{"message":"the reply could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // a client that went away is no error of ours
}

// handler is an endpoint: an error becomes the reply.
type handler func(w http.ResponseWriter, r *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		WriteError(w, err)
	}
}

// readBody reads at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyPatience)) // the only error is that it is not supported
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 512), 64<<10)) + bytes.MinRead) // what a client announces costs nothing before it is there
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("the body of the request is larger than %d bytes: %w", limit, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return nil, fmt.Errorf("read the body of the request: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	// A page of a browser can send a form or a text to any address, but no JSON without asking first.
	kind := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); body.Len() > 0 && (err != nil || media != "application/json") {
		return nil, fmt.Errorf("unsupported Content-Type header (%.64s): must be 'application/json': %w", kind, errdefs.ErrInvalidArgument)
	}
	return body.Bytes(), nil
}

// decodeBody reads a large object. Its memory is the caller's turn.
func decodeBody[T any](w http.ResponseWriter, r *http.Request, limit int64, decode func([]byte) (T, error)) (v T, err error) {
	done, err := turn(r.Context())
	if err != nil {
		return v, err
	}
	defer done()
	b, err := readBody(w, r, limit)
	if err != nil {
		return v, err
	}
	return decode(b)
}

// decode reads a JSON body; an empty one leaves v as it is when optional is set.
func decode(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
	b, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	if len(b) == 0 && optional {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("the body of the request: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return nil
}

// boolParam reads a switch the way Docker does: absent, 0, no, false and none are off.
func boolParam(r *http.Request, name string) bool { return isOn(r.FormValue(name)) }

func isOn(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

func intParam(r *http.Request, name string, low, high int) (int, error) {
	s := r.FormValue(name)
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s=%.32q: must be a number between %d and %d: %w", name, s, low, high,
			errdefs.ErrInvalidArgument)
	}
	return n, nil
}

// refuse answers for an endpoint that this version does not have.
func refuse(what string) handler {
	return func(http.ResponseWriter, *http.Request) error {
		// docker inspect, which asks for every kind of object in turn, goes on when it reads "not supported".
		return fmt.Errorf("%s: not supported by this version of Brig: %w", what, errdefs.ErrNotImplemented)
	}
}

// refuseRest names the part of the API that a path belongs to.
func refuseRest(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	what := map[string]string{
		"build": "image builds", "swarm": "swarm mode", "nodes": "swarm mode", "services": "swarm mode",
		"tasks":   "swarm mode",
		"secrets": "secrets", "configs": "swarm mode", "plugins": "plugins", "session": "build sessions",
		"grpc":  "build sessions",
		"debug": "debug endpoints", "images": "images",
	}[first]
	if what == "" {
		WriteError(w, fmt.Errorf("page not found: %w", errdefs.ErrNotFound))
		return
	}
	WriteError(w, refuse(what)(w, r))
}
