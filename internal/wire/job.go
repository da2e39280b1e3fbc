package wire

// OpJob is the first packet of the protocol between whoever has a job and a worker, which package jobs draws. Its reply is
// the last.
const OpJob Op = "job"

// JobKind names what a worker does. A worker does one job and ends.
type JobKind string

// The kinds that the warden gives (the others are in package jobs), in a user namespace of the container's. JobFill copies a
// directory of an image into a new volume; fds: from, to. JobLabel gives what a caller lends an SELinux label; fds: that.
const JobFill, JobLabel JobKind = "fill", "label"

// Errand is the warden's job, with the default limits. A worker reads it as jobs.Job. The warden calls it and reads nothing
// of the result but whether there is one.
type Errand struct {
	Kind  JobKind   `json:"kind"`
	Fill  *struct{} `json:"fill,omitempty"` // no parameters
	Label string    `json:"label,omitempty"`
}
