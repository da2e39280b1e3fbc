package image

import (
	"context"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/brig-engine/brig/internal/daemon/registry"
)

// Describe tells what a registry has under a name, without taking anything in.
func (s *Store) Describe(ctx context.Context, name reference.Named, auth registry.Auth) (ocispec.Descriptor,
	[]ocispec.Platform, error) {
	c := registry.New(name, auth, s.cfg.Registry)
	defer c.Close()
	return c.Describe(ctx, refOf(name))
}

// Login checks credentials with a registry, named by its host.
func (s *Store) Login(ctx context.Context, host string, auth registry.Auth) error {
	name, err := reference.ParseNormalizedNamed(host + "/login")
	if err != nil || reference.Domain(name) != host {
		return refuse("%.128q is not the host of a registry", host)
	}
	c := registry.New(name, auth, s.cfg.Registry)
	defer c.Close()
	return c.Login(ctx)
}
