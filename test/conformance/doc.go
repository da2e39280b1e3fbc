// Package conformance holds Brig to what dockerd answers.
//
// testdata has one file per verb of the docker client: the lines that set the
// scene, and the command lines that are compared. The same script runs through
// the unmodified client against Brig and against dockerd, and exit code,
// stdout and stderr must agree once identities, times and addresses are
// replaced by names. What dockerd answered is committed next to the scripts,
// so that the quick lane needs Brig alone; the slow lane runs dockerd again
// and holds the record to it.
//
// A difference that is meant stands in the table of differences.go with its
// reason, and a difference of that table that no longer shows fails as well.
package conformance
