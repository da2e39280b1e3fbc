package container

import (
	"context"
	"sync"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Size is in bytes: the lengths of files, as Docker adds them up.
type Size struct {
	Own  int64 // what a container has written beside its volumes
	Root int64 // with its image
}

// Size looks into a container.
func (e *Engine) Size(ctx context.Context, c *Container, caller int) (Size, error) {
	r, err := c.tree(ctx, caller, &jobs.TreeParams{Do: jobs.TreeSize}, jobs.Host{})
	if err != nil {
		return Size{}, err
	}
	s := Size{Own: r.Bytes, Root: r.Bytes}
	if img, err := e.cfg.Images.Lookup(c.View().ImageID); err == nil {
		s.Root += img.Size
	}
	return s, nil
}

// Sizes measures several containers side by side; one that cannot be measured, or is going, is left out.
func (e *Engine) Sizes(ctx context.Context, ids []string, caller int) map[string]Size {
	var mu sync.Mutex
	var all sync.WaitGroup
	sizes := map[string]Size{}
	for _, id := range ids {
		all.Go(func() {
			c, err := e.Find(id)
			if err != nil {
				return
			}
			if s, err := e.Size(ctx, c, caller); err == nil {
				mu.Lock()
				sizes[id] = s
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return sizes
}
