package wire

// OpJob is the first packet of the protocol between whoever has a job and a worker, which package jobs draws. Its reply is
// the last.
const OpJob Op = "job"

// JobKind names what a worker does. A worker does one job and ends.
type JobKind string

// JobFill, the only kind that the warden gives (the others are in package jobs), copies a directory of an image into a new
// volume, in a user namespace of the container's. fds: from, to.
const JobFill JobKind = "fill"

// Errand is the warden's job, with the default limits. A worker reads it as jobs.Job. The warden calls it and reads nothing
// of the result but whether there is one.
type Errand struct {
	Kind JobKind  `json:"kind"`
	Fill struct{} `json:"fill"` // no parameters
}
