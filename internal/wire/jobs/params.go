package jobs

import (
	"net/netip"

	"github.com/brig-engine/brig/internal/wire"
)

// The protocol between brigd and one worker, over descriptor 3 of the worker (SOCK_SEQPACKET):
//
//	brigd                                   worker
//	  │ ── job {Kind, parameters} + fds ──────▶ │   exactly one, the first packet
//	  │ ◀────────────── job.file {name, size} ─ │   any number, one at a time
//	  │ ── reply {} + one fd, or error ───────▶ │
//	  │ ── job.names {address, networks} ─────▶ │   any number, to the forwarder, not answered
//	  │ ◀──────── job.progress {done, total} ── │   any number, not answered
//	  │ ◀── reply {result} or error ─────────── │   exactly one, to the job: the last packet
//
// A worker that sees the end of the connection ends itself; brigd cancels by closing. The name of the first
// packet is in package wire, since the warden has one of its own: wire.Errand.
const (
	opFile     wire.Op = "job.file"
	opProgress wire.Op = "job.progress"
	opNames    wire.Op = "job.names"
)

// The kinds of jobs, beside the warden's own, which is in package wire. Each comment lists the descriptors of the first packet
// in order, and the names that are asked for with job.file.
const (
	// Layer turns one layer blob into a data file and a table of contents. fds: blob (read), data (empty, read and
	// write), toc (empty, write).
	Layer wire.JobKind = "layer"
	// Merge builds the file-system index of an image. fds: index (empty, write). Asks: "toc/I" for each layer I from
	// 0 (lowest), and "data/I" of the layers that hold /etc/passwd and /etc/group.
	Merge wire.JobKind = "merge"
	// Load reads an archive of images. fds: archive (read, may be a pipe). Asks: "blob/I" for I from 0, a new empty
	// file for each stored blob.
	Load wire.JobKind = "load"
	// Export makes the exact tar of one layer again. fds: output (write, may be a pipe), toc (read), data (read).
	Export wire.JobKind = "export"
	// Save writes an archive of images. fds: output (write, may be a pipe). Asks: "config/DIGEST" (the config's blob),
	// and for each layer either "blob/DIGEST", or "toc/DIFFID" and "data/DIFFID".
	Save wire.JobKind = "save"
	// Check verifies an index. fds: index (read). It is brig-store's job.
	Check wire.JobKind = "check"
	// DNS answers name queries. fds and parameters: see DNSParams.
	DNS wire.JobKind = "dns"
)

// Job is the first packet. Exactly the parameters of its kind are set.
type Job struct {
	Kind   wire.JobKind  `json:"kind"`
	Limits Limits        `json:"limits"`
	Layer  *LayerParams  `json:"layer,omitempty"`
	Merge  *MergeParams  `json:"merge,omitempty"`
	Check  *CheckParams  `json:"check,omitempty"`
	Load   *LoadParams   `json:"load,omitempty"`
	Export *ExportParams `json:"export,omitempty"`
	Save   *SaveParams   `json:"save,omitempty"`
	DNS    *DNSParams    `json:"dns,omitempty"`
	Fill   *struct{}     `json:"fill,omitempty"`
	Label  string        `json:"label,omitempty"`
	Tree   *TreeParams   `json:"tree,omitempty"`
}

// Limits bound what a stranger's bytes can cost. 0 means the default of WithDefaults, never "no limit".
type Limits struct {
	// MaxBytes is the largest uncompressed size of a layer or archive, and of a data file, in bytes.
	MaxBytes int64 `json:"maxBytes,omitempty"`
	// MaxEntries is the largest number of archive entries, and of inodes of an index.
	MaxEntries int64 `json:"maxEntries,omitempty"`
	// MaxHeaderBytes bounds the bytes of a layer that are not the content of files, which a table of contents keeps.
	MaxHeaderBytes int64 `json:"maxHeaderBytes,omitempty"`
	// MaxRatio bounds uncompressed:compressed beyond the first GiB.
	MaxRatio int64 `json:"maxRatio,omitempty"`
	// MaxIndexBytes is the largest file-system index.
	MaxIndexBytes int64 `json:"maxIndexBytes,omitempty"`
}

// WithDefaults fills the limits that are 0.
func (l Limits) WithDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.MaxBytes, 128<<30)
	def(&l.MaxEntries, 2_000_000)
	def(&l.MaxHeaderBytes, 4<<30)
	def(&l.MaxRatio, 250)
	def(&l.MaxIndexBytes, 1<<30)
	return l
}

// LayerParams are the parameters of Layer.
type LayerParams struct {
	// BlobSize in bytes, for progress and for the limit of the ratio.
	BlobSize int64 `json:"blobSize"`
}

// MergeParams are the parameters of Merge: the layers, lowest first.
type MergeParams struct {
	Layers []MergeLayer `json:"layers"`
	// MountPoints are names that the index gets if no layer has them, so that no container has to make them for itself.
	MountPoints []MountPoint `json:"mountPoints,omitempty"`
}

// MountPoint is an empty directory or file. Path is clean and relative to the root; what is there already stays, and so
// does whatever a link leads to.
type MountPoint struct {
	Path string `json:"path"`
	Dir  bool   `json:"dir,omitempty"`
}

// MergeLayer is one layer of an image. DataSize is the size of its data file in bytes, by fstat.
type MergeLayer struct {
	DataSize int64 `json:"dataSize"`
}

// CheckParams are the parameters of Check.
type CheckParams struct {
	// Devices holds the sizes in bytes (by fstat) of the data files, in the order in which they will be mounted.
	Devices []int64 `json:"devices"`
}

// LoadParams are the parameters of Load.
type LoadParams struct {
	// Size of the archive in bytes if it is known, for progress; else 0.
	Size int64 `json:"size,omitempty"`
}

// ExportParams are the parameters of Export.
type ExportParams struct {
	DataSize int64 `json:"dataSize"`
}

// SaveParams are the parameters of Save.
type SaveParams struct {
	Images []SaveImage `json:"images"`
}

// SaveImage is one image to save. With a Manifest every layer is written as the blob that it names and the image
// keeps its digest; without one the layers are written as plain tars and a manifest is made.
type SaveImage struct {
	// Names are full references with a tag.
	Names        []string `json:"names,omitempty"`
	Config       string   `json:"config"` // digest
	ConfigSize   int64    `json:"configSize"`
	Architecture string   `json:"architecture,omitempty"`
	OS           string   `json:"os,omitempty"`
	Variant      string   `json:"variant,omitempty"`

	Manifest     []byte      `json:"manifest,omitempty"`
	ManifestType string      `json:"manifestType,omitempty"` // media type
	Layers       []SaveLayer `json:"layers"`
}

// SaveLayer is one layer, lowest first. Blob, BlobSize count where the image has a Manifest; DiffID, Size and
// DataSize where it has none.
type SaveLayer struct {
	Blob     string `json:"blob,omitempty"` // digest
	BlobSize int64  `json:"blobSize,omitempty"`
	DiffID   string `json:"diffID,omitempty"`
	Size     int64  `json:"size,omitempty"` // of the uncompressed tar, in bytes
	DataSize int64  `json:"dataSize,omitempty"`
}

// DNSParams are the parameters of DNS. fds: Listen UDP sockets, then Streams TCP listeners, then one connected
// UDP socket for each upstream server. Asks: "stream/I", a connected TCP socket to upstream I. Names says that the names
// of containers will come.
type DNSParams struct {
	Listen    int `json:"listen"`
	Streams   int `json:"streams"`
	Upstreams int `json:"upstreams"`

	Names bool `json:"names,omitempty"`
}

// Names is all that the forwarder is to know of the container with one address. A container that is in no network has
// to be known, too: who is not, gets no answers.
type Names struct {
	Addr     netip.Addr `json:"addr"`
	Gone     bool       `json:"gone,omitempty"`
	Confined bool       `json:"confined,omitempty"` // asks nothing outside
	Networks []NamesIn  `json:"networks,omitempty"`
}

// NamesIn are the names that a container has in one network, the first of which is what its address is called.
type NamesIn struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"` // of the network
	Names []string `json:"names"`
	Links []Link   `json:"links,omitempty"`
}

// Link is a name that one container alone has for another: To is a name of that one in the same network.
type Link struct {
	Alias string `json:"alias"`
	To    string `json:"to"`
}

// Result is the last packet of a job that succeeded. Exactly the field of its kind is set; DNS and fill have
// none.
type Result struct {
	Layer  *LayerResult  `json:"layer,omitempty"`
	Merge  *MergeResult  `json:"merge,omitempty"`
	Check  *CheckResult  `json:"check,omitempty"`
	Load   *LoadResult   `json:"load,omitempty"`
	Export *ExportResult `json:"export,omitempty"`
	Save   *SaveResult   `json:"save,omitempty"`
	Tree   *TreeResult   `json:"tree,omitempty"`
}

// LayerResult describes a layer. Sizes are in bytes; DataSize is a multiple of 4096 and never 0.
type LayerResult struct {
	DiffID      string `json:"diffID"`      // sha256:hex of the uncompressed tar
	Compression string `json:"compression"` // none, gzip, zstd
	Size        int64  `json:"size"`
	DataSize    int64  `json:"dataSize"`
	TOCSize     int64  `json:"tocSize"`
	Entries     int64  `json:"entries"`
	Devices     int64  `json:"devices"` // device nodes, which no index will have
}

// MergeResult describes an index and says what brigd needs to know of the files in it.
type MergeResult struct {
	// Digest (sha256:hex) and Size of the index that was written.
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Inodes int64  `json:"inodes"`
	// Devices and Xattrs count the device nodes and extended attributes that were left out.
	Devices int64 `json:"devices,omitempty"`
	Xattrs  int64 `json:"xattrs,omitempty"`
	// Setuid lists setuid and setgid files, at most 1000; SetuidCount counts all.
	Setuid      []string     `json:"setuid,omitempty"`
	SetuidCount int64        `json:"setuidCount,omitempty"`
	Users       []ImageUser  `json:"users,omitempty"`
	Groups      []ImageGroup `json:"groups,omitempty"`
	// Accounts says why Users or Groups are incomplete, or nothing.
	Accounts string `json:"accounts,omitempty"`
}

// ImageUser is one well-formed line of an image's /etc/passwd.
type ImageUser struct {
	Name string `json:"name"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Home string `json:"home,omitempty"`
}

// ImageGroup is one well-formed line of an image's /etc/group.
type ImageGroup struct {
	Name    string   `json:"name"`
	GID     uint32   `json:"gid"`
	Members []string `json:"members,omitempty"`
}

// CheckResult says that an index is sound. Digest is of the bytes that were checked: only those may be sealed.
type CheckResult struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Inodes int64  `json:"inodes"`
}

// LoadResult says what an archive held. Blobs[i] was written into the file that was given for "blob/i".
type LoadResult struct {
	Blobs  []LoadedBlob  `json:"blobs"`
	Images []LoadedImage `json:"images"`
}

// LoadedBlob is one blob; the digest is the worker's claim, which sealing verifies.
type LoadedBlob struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// LoadedImage is one image of an archive. Layers are lowest first.
type LoadedImage struct {
	// Names are the references that the archive gives the image, as written there.
	Names  []string `json:"names,omitempty"`
	Config string   `json:"config"` // digest
	Layers []string `json:"layers"` // digests of blobs
	// Manifest is the digest of the manifest's blob where the archive has one, which then is among Blobs.
	Manifest string `json:"manifest,omitempty"`
	// MediaTypes of Layers, where a manifest gives them.
	MediaTypes []string `json:"mediaTypes,omitempty"`
}

// ExportResult describes the tar that was written.
type ExportResult struct {
	DiffID string `json:"diffID"`
	Size   int64  `json:"size"`
}

// SaveResult describes the archive that was written.
type SaveResult struct {
	Size int64 `json:"size"`
}

// File asks for one more descriptor. Size is the expected size in bytes of a file to be written, 0 if unknown.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size,omitempty"`
	// Stat comes with "archive" of a TreeRead: what will be in it.
	Stat *PathStat `json:"stat,omitempty"`
}

// Progress says how far a job is, in bytes. Total is 0 if unknown.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"`
}
