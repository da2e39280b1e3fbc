package wire

import (
	"errors"
	"strings"

	"github.com/containerd/errdefs"
)

// Error is a failure as it crosses a zone: a class of containerd's errdefs and a sentence for people.
type Error struct {
	Class string `json:"class"`
	Text  string `json:"text"`
	// Code is 126 or 127 where the program of a container could not be executed or was not found.
	Code int `json:"code,omitempty"`
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the errdefs class, so that errdefs.IsNotFound and its kin work on both sides of a socket.
func (e *Error) Unwrap() error { return classes[e.Class] }

var classes = map[string]error{
	"not_found":           errdefs.ErrNotFound,
	"already_exists":      errdefs.ErrAlreadyExists,
	"invalid_argument":    errdefs.ErrInvalidArgument,
	"failed_precondition": errdefs.ErrFailedPrecondition,
	"permission_denied":   errdefs.ErrPermissionDenied,
	"unavailable":         errdefs.ErrUnavailable,
	"not_implemented":     errdefs.ErrNotImplemented,
	"conflict":            errdefs.ErrConflict,
	"resource_exhausted":  errdefs.ErrResourceExhausted,
	"data_loss":           errdefs.ErrDataLoss,
}

// maxText bounds a sentence in bytes: it may quote a stranger's name, and must fit a packet even if every byte is
// escaped.
const maxText = 8 << 10

// ToError turns any error into one that can be sent. An error without a class is "unknown"; a sentence over maxText is
// cut.
func ToError(err error) *Error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	var e *Error
	if errors.As(err, &e) {
		// Keep the whole sentence of the wrapping error, and the class of the inner one.
		return &Error{Class: e.Class, Text: text, Code: e.Code}
	}
	for name, class := range classes {
		if errors.Is(err, class) {
			return &Error{Class: name, Text: text}
		}
	}
	return &Error{Class: "unknown", Text: text}
}
