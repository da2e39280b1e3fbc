package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A multiplexed stream is a sequence of frames:
//
//	byte 0     1–3      4–7                   8…
//	stream     zero     length, big endian    that many bytes
//
// Stream 1 is standard output, 2 standard error, 3 an error of the engine, and 4, at the end of a stream that was asked
// for with RunHeader, how the program ended.
const frameHeader = 8

// RunHeader in a request to attach makes one request of it and of those to wait and to start, in a request to create of
// all four; see package daemon/api, run.go. Its value is the condition of the wait. CreatedHeader is in the reply to such
// a request to create and holds what would have been the body. FieldsHeader in a request for a list asks for no more of each
// entry than this field; an engine that does not know it answers with everything.
const (
	RunHeader     = "Brig-Run"
	CreatedHeader = "Brig-Created"
	FieldsHeader  = "Brig-Fields"
)

// maxText bounds what the engine says about itself in one frame.
const maxText = 64 << 10

// Demux copies a multiplexed stream to its two destinations until it ends. Frames are passed on piece by piece: the
// length in a header never decides how much memory is taken, and a stream cut off inside a frame loses nothing.
func Demux(stdout, stderr io.Writer, src io.Reader) error {
	return demux(stdout, stderr, nil, src)
}

// DemuxRun is Demux for a stream of RunHeader; result receives how the program ended.
func DemuxRun(result *[]byte) func(stdout, stderr io.Writer, src io.Reader) error {
	return func(stdout, stderr io.Writer, src io.Reader) error { return demux(stdout, stderr, result, src) }
}

func demux(stdout, stderr io.Writer, result *[]byte, src io.Reader) error {
	var header [frameHeader]byte
	var buf []byte
	for {
		if _, err := io.ReadFull(src, header[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("output stream: %w", err)
		}
		length := int64(binary.BigEndian.Uint32(header[4:]))
		var dst io.Writer
		switch header[0] {
		case 0, 1:
			dst = stdout
		case 2:
			dst = stderr
		case 3:
			text, _ := io.ReadAll(io.LimitReader(src, min(length, maxText)))
			return errors.New(string(text))
		case 4:
			if result == nil || length > maxText {
				return errors.New("output stream: an end that nobody asked for")
			}
			text, err := io.ReadAll(io.LimitReader(src, length))
			*result = text
			return err
		default:
			return fmt.Errorf("output stream: unknown stream %d", header[0])
		}
		if buf == nil {
			buf = make([]byte, 32<<10)
		}
		n, err := io.CopyBuffer(onlyWriter{dst}, io.LimitReader(src, length), buf)
		if err != nil {
			return err
		}
		if n < length {
			return fmt.Errorf("output stream: %w", io.ErrUnexpectedEOF)
		}
	}
}

// onlyWriter hides ReadFrom, which would ignore the buffer and try to splice 40 bytes at a time.
type onlyWriter struct{ io.Writer }
