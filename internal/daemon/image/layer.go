package image

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Event is one line of progress. ID is the beginning of a digest where the line is about one object; Current and Total
// are bytes.
type Event struct {
	ID, Status     string
	Current, Total int64
}

// source is where the blob of a layer comes from.
type source struct {
	digest string
	size   int64
	// fetch downloads and verifies the blob; nil means that it is sealed and pinned already.
	fetch func(ctx context.Context, b *blank, tell func(done int64)) error
}

func (src source) id() string { return short(src.digest) }

func short(digest string) string { return hexOf(digest)[:12] }

// flight is the making of one layer, which several operations may wait for. It goes on while one of them is there.
type flight struct {
	cancel  context.CancelFunc
	done    chan struct{}
	members map[*member]struct{} // guarded by Store.mu
	layer   Layer
	err     error
}

// member is one operation that waits. Its tell must not block.
type member struct {
	o    *operation
	tell func(Event)
}

// layer gives what was made of one blob, made now if need be, and pins it.
func (o *operation) layer(ctx context.Context, src source, tell func(Event)) (Layer, error) {
	for {
		m := &member{o, tell}
		l, f, leading := o.join(ctx, src, m)
		if f == nil {
			tell(Event{ID: src.id(), Status: "Already exists"})
			return l, nil
		}
		select {
		case <-f.done:
			// Another operation's failure may have been one of its own credentials: try again ourselves.
			if f.err != nil && !leading && ctx.Err() == nil {
				continue
			}
			return f.layer, f.err
		case <-ctx.Done():
			if o.s.leave(f, m) {
				<-f.done // nobody else waits: what was begun is taken back before the operation ends
			}
			return Layer{}, ctx.Err()
		}
	}
}

// join finds the layer, or the flight that makes it, or starts one.
func (o *operation) join(ctx context.Context, src source, m *member) (Layer, *flight, bool) {
	s := o.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.made[src.digest]; ok && o.keepLocked(l.keys()...) {
		return l, nil, false
	}
	if f := s.flights[src.digest]; f != nil {
		f.members[m] = struct{}{}
		return Layer{}, f, false
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{}), members: map[*member]struct{}{m: {}}}
	s.flights[src.digest] = f
	go s.fly(ctx, f, src, o.fetches)
	return Layer{}, f, true
}

// leave cancels the flight, and says so, when the last one leaves.
func (s *Store) leave(f *flight, m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(f.members, m); len(f.members) > 0 {
		return false
	}
	f.cancel()
	return true
}

// fly makes the layer and hands it to all who wait.
func (s *Store) fly(ctx context.Context, f *flight, src source, fetches chan struct{}) {
	defer f.cancel()
	o := s.begin()
	tell := func(e Event) {
		s.mu.Lock()
		members := make([]*member, 0, len(f.members))
		for m := range f.members {
			members = append(members, m)
		}
		s.mu.Unlock()
		for _, m := range members {
			m.tell(e)
		}
	}
	l, err := o.make(ctx, src, fetches, tell)
	s.mu.Lock()
	delete(s.flights, src.digest)
	if err == nil {
		s.made[src.digest] = l
		for m := range f.members {
			m.o.pin(l.keys()...)
		}
	}
	f.layer, f.err = l, err
	s.mu.Unlock()
	o.end()
	close(f.done)
}

// make fetches, seals and unpacks one layer.
func (o *operation) make(ctx context.Context, src source, fetches chan struct{}, tell func(Event)) (Layer, error) {
	if !o.keep(key{src.digest, false}) {
		if src.fetch == nil {
			return Layer{}, fmt.Errorf("layer %s is not in the store: %w", src.digest, errdefs.ErrNotFound)
		}
		if err := o.fetch(ctx, src, fetches, tell); err != nil {
			return Layer{}, fmt.Errorf("layer %s: %w", src.digest, err)
		}
	}
	l, err := o.unpack(ctx, src, tell)
	if err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", src.digest, err)
	}
	tell(Event{ID: src.id(), Status: "Pull complete"})
	return l, nil
}

// fetch downloads a blob and has it sealed under the digest that the manifest gives it.
func (o *operation) fetch(ctx context.Context, src source, fetches chan struct{}, tell func(Event)) error {
	select {
	case fetches <- struct{}{}:
		defer func() { <-fetches }()
	case <-ctx.Done():
		return ctx.Err()
	}
	b, err := o.s.create(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	progress := func(done int64) {
		tell(Event{ID: src.id(), Status: "Downloading", Current: done, Total: src.size})
	}
	if err := src.fetch(ctx, b, progress); err != nil {
		return err
	}
	tell(Event{ID: src.id(), Status: "Verifying Checksum"})
	if _, err := o.seal(ctx, b, src.digest); err != nil {
		return err
	}
	tell(Event{ID: src.id(), Status: "Download complete"})
	return nil
}

// unpack has a worker make the data file and the table of contents of a sealed blob.
func (o *operation) unpack(ctx context.Context, src source, tell func(Event)) (Layer, error) {
	s := o.s
	select {
	case s.jobs <- struct{}{}:
		defer func() { <-s.jobs }()
	case <-ctx.Done():
		return Layer{}, ctx.Err()
	}
	blob, err := s.open(ctx, src.digest)
	if err != nil {
		return Layer{}, err
	}
	defer blob.Close()
	data, err := s.create(ctx)
	if err != nil {
		return Layer{}, err
	}
	defer data.Close()
	toc, err := s.create(ctx)
	if err != nil {
		return Layer{}, err
	}
	defer toc.Close()
	st, err := blob.Stat()
	if err != nil {
		return Layer{}, err
	}
	host := jobs.Host{Progress: func(p jobs.Progress) {
		tell(Event{ID: src.id(), Status: "Extracting", Current: p.Done, Total: p.Total})
	}}
	job := &jobs.Job{Kind: jobs.Layer, Layer: &jobs.LayerParams{BlobSize: st.Size()}}
	r, err := s.run(ctx, job, host, int(blob.Fd()), data.fd, toc.fd)
	if err != nil {
		return Layer{}, err
	}
	l := Layer{Blob: src.digest, BlobSize: st.Size(), DiffID: r.Layer.DiffID, Size: r.Layer.Size,
		Compression: r.Layer.Compression}
	d, err := o.seal(ctx, data, "")
	if err != nil {
		return Layer{}, err
	}
	t, err := o.seal(ctx, toc, "")
	if err != nil {
		return Layer{}, err
	}
	l.Data, l.DataSize, l.TOC = d.Digest, d.Size, t.Digest
	return l, nil
}
