// Package filters holds the filters that nobody can ask to change, as tables that people read: the floor below every
// container, the default, and those of brigd and its workers.
//
// Zone: none at run time: dist/embed compiles the tables, and what comes out is data of the warden (internal/warden/code).
// Input: the tables, and the names and numbers of system calls.
// Output: typed filters, and listings of their programs. A container gets two programs: a floor, and on top of it the
// default or the one that brigd asked for; the kernel takes the more severe of both verdicts, so what the floor refuses
// stays refused.
// Spec: seccomp(2).
// Answers: A1 (kernel surface), A3 (open_by_handle_at, TIOCSTI, keyrings, mounts), A4 (a conquered worker or daemon).
package filters
