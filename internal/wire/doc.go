// Package wire holds the messages between Brig's processes, and nothing else.
//
// Zone: imported by every process; it decides nothing and touches nothing.
// Input: the warden reads messages that brigd wrote (and brigd may be conquered); workers read messages that brigd wrote;
// brigd reads messages that workers wrote (and a worker may be conquered by a stranger's bytes). So every decoder here is
// strict: unknown fields, unknown operations, oversized bodies and surplus file descriptors are errors.
// Output: typed values. The set of operations in op.go is closed and complete; what is not built is refused by name.
// Spec: unix(7) SOCK_SEQPACKET, SCM_RIGHTS, SCM_CREDENTIALS; the OCI runtime spec for the meaning of the fields of Spec.
// Answers: A3 (a conquered daemon), A4 (a conquered worker).
package wire
