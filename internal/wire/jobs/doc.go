// Package jobs is the protocol between brigd and the workers: what a job is given, and what it answers.
//
// Zone: brigd and brig-worker; no process that runs as root.
// Input: brigd reads what a worker wrote, which a stranger's bytes may have conquered; a worker reads what brigd wrote.
// Both decode strictly: unknown fields, unknown kinds and answers to another question are errors.
// Output: typed parameters and results, and descriptors.
// Spec: unix(7) SOCK_SEQPACKET, SCM_RIGHTS.
// Answers: A4 (a conquered worker).
package jobs
