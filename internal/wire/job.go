package wire

// OpJob is the first packet of the protocol between whoever has a job and a worker, which package jobs draws. Its reply is
// the last.
const OpJob Op = "job"

// JobKind names what a worker does. A worker does one job and ends.
type JobKind string

// The kinds of jobs that the warden gives; brigd's are in package jobs.
const (
	// JobCheck verifies an index. fds: index (read).
	JobCheck JobKind = "check"
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

// Errand is a job of the warden's own, with the default limits. A worker reads it as jobs.Job. The warden calls it and
// reads nothing of the result but whether there is one.
type Errand struct {
	Kind  JobKind         `json:"kind"`
	Check *JobCheckParams `json:"check,omitempty"`
	Fill  *JobFillParams  `json:"fill,omitempty"`
}
