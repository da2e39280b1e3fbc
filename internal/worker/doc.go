// Package worker runs the one job of a brig-worker process.
//
// Zone: brig-worker: a user namespace of its own, no network, no file system, no capability, seccomp without open,
// socket and exec; all it has are the descriptors that came with the job, or that brigd gave when asked.
// Input: one job from brigd over descriptor 3 (internal/wire), and the strangers' bytes behind the descriptors.
// Output: one result or one error. brigd treats both as written by a stranger.
// Spec: internal/wire/job.go.
// Answers: A4 (poisoned images end here), CVE-2026-41567 and CVE-2026-17106 (unpacking as root).
package worker
