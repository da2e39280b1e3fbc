package wire

// OpJob is the first packet of the protocol between brigd and a worker, which package jobs draws. Its reply is the last.
const OpJob Op = "job"

// JobKind names what a worker does. A worker does one job and ends.
type JobKind string

// The kinds of jobs. Each comment lists the descriptors of the first packet in order, and the names that are asked for
// with job.file.
const (
	// JobLayer turns one layer blob into a data file and a table of contents. fds: blob (read), data (empty, read and
	// write), toc (empty, write).
	JobLayer JobKind = "layer"
	// JobMerge builds the file-system index of an image. fds: index (empty, write). Asks: "toc/I" for each layer I from
	// 0 (lowest), and "data/I" of the layers that hold /etc/passwd and /etc/group.
	JobMerge JobKind = "merge"
	// JobCheck verifies an index. fds: index (read).
	JobCheck JobKind = "check"
	// JobLoad reads an archive of images. fds: archive (read, may be a pipe). Asks: "blob/I" for I from 0, a new empty
	// file for each stored blob.
	JobLoad JobKind = "load"
	// JobExport makes the exact tar of one layer again. fds: output (write, may be a pipe), toc (read), data (read).
	JobExport JobKind = "export"
	// JobSave writes an archive of images. fds: output (write, may be a pipe). Asks: "config/DIGEST" (the config's blob),
	// and for each layer either "blob/DIGEST", or "toc/DIFFID" and "data/DIFFID".
	JobSave JobKind = "save"
	// JobDNS answers name queries. fds and parameters: see jobs.DNSParams.
	JobDNS JobKind = "dns"
	// JobFill copies a directory of an image into a new volume, in a user namespace of the container's. fds: from, to.
	JobFill JobKind = "fill"
)

// JobCheckParams are the parameters of JobCheck.
type JobCheckParams struct {
	// Devices holds the sizes in bytes (by fstat) of the data files, in the order in which they will be mounted.
	Devices []int64 `json:"devices"`
}

// JobFillParams are the parameters of JobFill: none.
type JobFillParams struct{}

// Errand is a job of the warden's own: one of the two kinds that it gives, with the default limits. A worker reads it
// as jobs.Job. The warden calls it and reads nothing of the result but whether there is one.
type Errand struct {
	Kind  JobKind         `json:"kind"`
	Check *JobCheckParams `json:"check,omitempty"`
	Fill  *JobFillParams  `json:"fill,omitempty"`
}
