package jobs

import "github.com/brig-engine/brig/internal/wire"

// Tree is the job of a worker that sees what a container sees: cp, diff, export, commit. It has the descriptors of
// TreeParams.Do, and three that the warden gave it at birth (TreeChanged and the two after it).
const Tree wire.JobKind = "tree"

// Descriptors that such a worker is born with, behind its connection: the container's own changes, the image below them,
// and both as one without what is mounted on it. All are for reading. Its root directory is the container's.
const (
	TreeChanged = 4 + iota
	TreeImage
	TreeBare
)

// TreeDo says what a worker does with a tree.
type TreeDo string

// What can be done. fds are those of the job.
const (
	// TreeStat describes a path.
	TreeStat TreeDo = "stat"
	// TreeRead packs a path. Asks: "archive", with Stat, where to write to.
	TreeRead TreeDo = "read"
	// TreeWrite unpacks an archive into a directory. fds: archive (read, may be a pipe).
	TreeWrite TreeDo = "write"
	// TreeExport packs the root without what is mounted on it. fds: archive (write).
	TreeExport TreeDo = "export"
	// TreeChanges lists what differs from the image, as JSON of the API. fds: list (write).
	TreeChanges TreeDo = "changes"
	// TreeSize adds up the lengths of what differs from the image, in Bytes.
	TreeSize TreeDo = "size"
	// TreeLayer packs what differs from the image as a layer. fds: layer (empty, write).
	TreeLayer TreeDo = "layer"
)

// TreeParams are the parameters of Tree.
type TreeParams struct {
	Do   TreeDo `json:"do"`
	Path string `json:"path,omitempty"`
	// KeepKind refuses to put a directory in the place of something else, or the reverse.
	KeepKind bool `json:"keepKind,omitempty"`
	// Owner of everything that is unpacked, in place of what the archive says.
	Owner *TreeOwner `json:"owner,omitempty"`
}

// TreeOwner is a pair of ids in the container.
type TreeOwner struct {
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
}

// PathStat describes a file of a container. Mode is that of Go's io/fs.
type PathStat struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	Mode    uint32 `json:"mode"`
	MTime   int64  `json:"mtime"` // seconds since the epoch
	MTimeNs int64  `json:"mtimeNs,omitempty"`
	// LinkTarget is where a symbolic link leads in the end, as an absolute path in the container.
	LinkTarget string `json:"linkTarget,omitempty"`
}

// TreeResult is the result of Tree.
type TreeResult struct {
	Stat    *PathStat `json:"stat,omitempty"`
	Entries int64     `json:"entries,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
}
