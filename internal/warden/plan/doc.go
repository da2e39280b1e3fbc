// Package plan turns an effective specification into the list of system calls that makes it true: the birth of a
// container, the entry of a process into a running one, or the birth of one of Brig's own confined processes.
//
// Zone: brig-warden (root). Computing a plan is pure: it touches nothing, and a plan can be printed and compared.
// Input: wire.Spec from brigd, checked against the floor before; facts about this host. Names inside the container are
// chosen by strangers: they are resolved by openat2 below the container's root and nowhere else.
// Output: a [Plan], which internal/daemon/explain prints; by [Start], a process or the step that failed.
//
// Descriptors that a plan names in angle brackets, such as <root>, are prepared by the warden and handed to the child;
// the others are results of earlier steps. A birth, from top to bottom:
//
//	stage 0   unreadable; cgroups; the sandbox's user and network namespace; its root's ids; clone3 with the other
//	          namespaces
//	stage 1   session, keyring; the root at a place of its own; proc, dev, sys; mounts; files; sysctls; masks; pivot;
//	          hostname; working directory; stdio
//	  gate    of a container, until its endpoint is live
//	          ids; the program is found; limits; no_new_privs, Landlock, seccomp; execveat
//
// Spec: OCI runtime-spec for what a container sees; the manual pages of the calls for how.
// Answers: A1 (filters, Landlock, capabilities), A3 (roots, paths, descriptors), A5 (a joining process is
// unreadable).
package plan
