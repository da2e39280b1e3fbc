package main

import (
	"context"
	"embed"
	"fmt"

	"github.com/brig-engine/brig/internal/daemon/image"
)

// embedded is a directory into which make puts the engine's own image.
//
//go:embed all:embedded
var embedded embed.FS

// embeddedName is what that image is called.
const embeddedName = "docker.io/library/brig-probe:latest"

// openImages opens the store and has it take in the engine's own image in the background.
func openImages(ctx context.Context, cfg image.Config) (*image.Store, error) {
	s, err := image.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	archive, err := embedded.ReadFile("embedded/image.tar")
	if err != nil {
		archive = nil // built without it
	}
	s.EnsureEmbedded(ctx, embeddedName, archive)
	return s, nil
}
