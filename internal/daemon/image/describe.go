package image

import (
	"time"

	api "github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Inspect describes one image.
func (img *Image) Inspect() *api.InspectResponse {
	out := &api.InspectResponse{
		ID: img.ID, RepoTags: Filter{}.matching(img.Names), RepoDigests: Filter{}.matching(img.Digests),
		Created: img.Created.Format(time.RFC3339Nano), Author: img.Config.Author, Config: &img.Config.Config,
		Architecture: img.Config.Architecture, Variant: img.Config.Variant, Os: img.Config.OS,
		OsVersion: img.Config.OSVersion,
		Size:      img.Size, RootFS: api.RootFS{Type: "layers"}, Metadata: api.Metadata{LastTagTime: img.Tagged},
		Descriptor: &ocispec.Descriptor{MediaType: img.ManifestType, Digest: digest.Digest(img.Manifest),
			Size: img.ManifestSize},
	}
	for _, l := range img.Layers {
		out.RootFS.Layers = append(out.RootFS.Layers, l.DiffID)
	}
	if h := img.Config.History; len(h) > 0 {
		out.Comment = h[len(h)-1].Comment
	}
	return out
}

// History tells how an image says it was made, newest first. Sizes are those of the layers as they are; where the
// config's account does not fit them, the rest is 0.
func (img *Image) History() []*api.HistoryResponseItem {
	h := img.Config.History
	out := make([]*api.HistoryResponseItem, len(h))
	layer := 0
	for n, e := range h {
		item := &api.HistoryResponseItem{ID: "<missing>", Comment: e.Comment, CreatedBy: e.CreatedBy}
		if e.Created != nil {
			item.Created = e.Created.Unix()
		}
		if !e.EmptyLayer && layer < len(img.Layers) {
			item.Size = img.Layers[layer].Size
			layer++
		}
		out[len(h)-1-n] = item
	}
	if len(out) > 0 {
		out[0].ID, out[0].Tags = img.ID, Filter{}.matching(img.Names)
	}
	return out
}
