package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Job carries out jobs.DNS; it ends only with its connection to brigd, or with an error.
func Job(t *jobs.Task) (*jobs.Result, error) {
	s, err := sockets(t.Files, *t.DNS)
	if err != nil {
		return nil, err
	}
	s.Stream = func(n int) (net.Conn, error) {
		f, err := t.File(fmt.Sprintf("stream/%d", n), 0)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return net.FileConn(f)
	}
	if err := Serve(context.Background(), s); err != nil {
		return nil, fmt.Errorf("forward names: %w", err)
	}
	return &jobs.Result{}, nil
}

// sockets sorts the descriptors of a job by what they are for. They are closed; net works with duplicates.
func sockets(files []*os.File, p jobs.DNSParams) (s Sockets, err error) {
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if p.Listen < 0 || p.Streams < 0 || p.Upstreams < 0 || p.Listen+p.Streams+p.Upstreams != len(files) {
		return s, errors.New("the descriptors of the job do not fit its parameters")
	}
	for i, f := range files {
		switch {
		case i < p.Listen:
			c, err := net.FilePacketConn(f)
			if err != nil {
				return s, err
			}
			s.Listen = append(s.Listen, c)
		case i < p.Listen+p.Streams:
			l, err := net.FileListener(f)
			if err != nil {
				return s, err
			}
			s.Streams = append(s.Streams, l)
		default:
			c, err := net.FileConn(f)
			if err != nil {
				return s, err
			}
			s.Upstream = append(s.Upstream, c)
		}
	}
	return s, nil
}
