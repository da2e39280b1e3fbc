// Package cgroup makes the control groups of containers where an engine wants them, in version 1, version 2, or both, writes
// the resources of a configuration, and reads what is used.
//
// Zone: brig-oci (root). Input: a path and resources from the configuration of the engine; what the kernel does not take it
// refuses, and a resource that this machine has no controller for is refused by name. File contents come from the kernel.
// Output: directories below the mounted hierarchies.
// Spec: OCI runtime-spec 1.3, config-linux.md; the kernel's admin-guide/cgroup-v1 and cgroup-v2.
// Answers: A2 (a neighbour is starved), A3 (device nodes).
package cgroup
