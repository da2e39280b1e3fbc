package image

import (
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// Image is one image that is ready to run: its blobs are sealed and its merged index was checked.
type Image struct {
	// ID is the digest of the config, as sha256:hex.
	ID string `json:"id"`
	// Manifest is the digest of the sealed manifest: the registry's, or one that was made here for an image without.
	Manifest     string `json:"manifest,omitempty"`
	ManifestType string `json:"manifestType,omitempty"` // media type
	ManifestSize int64  `json:"manifestSize,omitempty"` // bytes
	// Names are full references with a tag (docker.io/library/alpine:3.20); Digests are full references with a digest.
	// On disk each of them is a record of its own.
	Names   []string `json:"names,omitempty"`
	Digests []string `json:"digests,omitempty"`
	// Config is the size-capped image config. It is data: policy takes an allow-list of its fields into a spec.
	Config dockerspec.DockerOCIImage `json:"config"`
	// Index is the digest of the sealed merged index; its devices are the layers' data objects.
	Index  string  `json:"index"`
	Layers []Layer `json:"layers"`
	// Size is the sum of the uncompressed layers in bytes.
	Size       int64     `json:"size"`
	ConfigSize int64     `json:"configSize,omitempty"` // bytes of the config as it was received
	Created    time.Time `json:"created"`
	// Tagged is when the image last got a name.
	Tagged time.Time `json:"tagged,omitzero"`
	// Format is the version of what workers make; an image of another version has to be taken in again.
	Format int `json:"format"`
	// Pending are names that a new image gets; only its record has them.
	Pending []nameRecord `json:"pending,omitempty"`
	// Users and Groups are what the worker read from the image's /etc/passwd and /etc/group.
	Users  []User  `json:"users,omitempty"`
	Groups []Group `json:"groups,omitempty"`
}

// Layer ties the blob as it was received to what workers made of it. All are digests of sealed objects.
type Layer struct {
	Blob   string `json:"blob"`
	DiffID string `json:"diffID"`
	Data   string `json:"data"`
	TOC    string `json:"toc"`
	// DataSize is the size of the data file in bytes.
	DataSize int64 `json:"dataSize"`
	// Size is the uncompressed size in bytes; BlobSize that of the blob; MediaType is the blob's.
	Size      int64  `json:"size"`
	BlobSize  int64  `json:"blobSize"`
	MediaType string `json:"mediaType"`
	// Compression is what a worker found: none, gzip, zstd.
	Compression string `json:"compression,omitempty"`
}

// User is one well-formed line of /etc/passwd.
type User struct {
	Name string `json:"name"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Home string `json:"home,omitempty"`
}

// Group is one well-formed line of /etc/group.
type Group struct {
	Name    string   `json:"name"`
	GID     uint32   `json:"gid"`
	Members []string `json:"members,omitempty"`
}
