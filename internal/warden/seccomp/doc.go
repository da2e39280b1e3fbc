// Package seccomp turns typed filters into programs for the kernel, and holds the filters that nobody can ask to
// change.
//
// Zone: brig-warden, root.
// Input: wire.Filter values from brigd, which may be conquered: each is validated, bounded in size and compiled to a
// program that can only say what the closed set of actions says. Nothing here reads JSON, names or files.
// Output: classic BPF programs. A container gets two: Floor, fixed here, and on top of it the one that brigd asked for;
// the kernel takes the more severe of both verdicts, so what Floor refuses stays refused. brigd and the workers get
// Daemon and Worker.
// Spec: seccomp(2); struct seccomp_data; the severity order of SECCOMP_RET_*.
// Answers: A1 (kernel surface), A3 (open_by_handle_at, TIOCSTI, keyrings, mounts), A4 (a conquered worker or daemon).
package seccomp
