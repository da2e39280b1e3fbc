package console

import (
	"errors"
	"io"
)

// Stream is the engine's side of an attached program.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Streams are the person's side. In is nil when input is not attached.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Detach are the bytes that end the session; nil where only a terminal's keys are bytes of their own.
	Detach []byte
	// Demux splits a stream that carries two outputs; nil where it carries one, as a terminal does.
	Demux func(stdout, stderr io.Writer, src io.Reader) error
}

// Pump copies both ways until the program's output ends or the person detaches (ErrDetached). When the input ends the
// stream is closed for writing and the output goes on.
func Pump(s Stream, with Streams) error {
	if with.In == nil {
		return copyOutput(s, with)
	}
	output := make(chan error, 1)
	detached := make(chan struct{})
	go func() { output <- copyOutput(s, with) }()
	go copyInput(s, with, detached)
	select {
	case err := <-output:
		return err
	case <-detached:
		s.Close()
		<-output
		return ErrDetached
	}
}

func copyOutput(s Stream, with Streams) error {
	if with.Demux != nil {
		return with.Demux(with.Out, with.Err, s)
	}
	_, err := io.Copy(with.Out, s)
	return err
}

func copyInput(s Stream, with Streams, detached chan<- struct{}) {
	in := with.In
	if len(with.Detach) > 0 {
		in = &detacher{r: in, keys: with.Detach}
	}
	// onlyReader: a file's WriteTo would try to splice, and a terminal cannot be spliced.
	_, err := io.Copy(s, onlyReader{in})
	if errors.Is(err, ErrDetached) {
		close(detached)
		return
	}
	// The program may have ended and its stream with it; what counts then is the output's end.
	_ = s.CloseWrite()
}

type onlyReader struct{ io.Reader }
