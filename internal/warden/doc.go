// Package warden is the engine's privileged half: it gives birth to containers, holds the network and the control
// groups, and starts everything below it.
//
// Zone: root in the host's user namespace, a mount namespace of its own, a handful of capabilities, no IP traffic, no netlink.
// Input: the closed list of operations in wire (written by brigd, which may be conquered); callers' connections, about
// which it asks the kernel; notes of the keeper; answers of brig-router, which may be conquered.
// Output: containers, descriptors.
// Spec: the OCI runtime spec for what a wire.Spec means; traps 1–3, 10–20, 35.
// Answers: A1, A3 (plan, floor), A2 (cgroup), A6 (idmap; the rest of A6, and A7, is brig-router's); A4 is
// brig-store's, whose files it mounts.
//
//	start ──▶ hold what the keeper kept ──▶ parent cgroup, router ──▶ adopt running containers ──▶ brig-store, brigd ──▶ serve
//
// The life of a container here, under its own lock:
//
//	(nothing) ──start──▶ running ──finish──▶ ended ──start──▶ running …
//	                                           └──remove──▶ (nothing)
package warden
