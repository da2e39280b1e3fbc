package image

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"
)

// embedded is the image that the engine brings along, while it is being taken in. Whoever looks it up waits.
type embedded struct {
	name string
	done chan struct{}
}

// embeddedPatience bounds the taking in, and with it the wait of those who look the image up.
const embeddedPatience = 2 * time.Minute

// await waits if name is that of the image that is being taken in. A nil receiver has nothing to wait for.
func (e *embedded) await(name string) {
	if e != nil && e.name == name {
		<-e.done
	}
}

// EnsureEmbedded takes the archive in, which gives an image the name name (a full reference), unless that is what the
// name stands for already. It returns at once; call it once, before the first request is served. The returned channel
// is closed when it is over. An empty archive is no archive: then the engine was built without one.
func (s *Store) EnsureEmbedded(ctx context.Context, name string, archive []byte) <-chan struct{} {
	e := &embedded{name, make(chan struct{})}
	if len(archive) == 0 {
		close(e.done)
		return e.done
	}
	s.waiting = e
	go func() {
		defer close(e.done)
		ctx, cancel := context.WithTimeout(ctx, embeddedPatience)
		defer cancel()
		if err := s.embed(ctx, name, archive); err != nil {
			slog.Warn("the image that the engine brings along could not be taken in", "name", name, "error", err)
		}
	}()
	return e.done
}

func (s *Store) embed(ctx context.Context, name string, archive []byte) error {
	source := digest.FromBytes(archive).String()
	s.mu.Lock()
	have := s.byName[name]
	s.mu.Unlock()
	if have.Source == source {
		return nil
	}
	if _, err := s.load(ctx, bytes.NewReader(archive), int64(len(archive)), source, func(Event) {}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[name].Source != source {
		return fmt.Errorf("the archive has no image with this name")
	}
	return nil
}
