// Package cgroup bounds containers: it makes their control groups, writes the limits, opens what a birth needs to
// enter them, counts who ran out of memory, kills and removes them. Version 2 is always there, mounted by us if by nobody
// else: it kills and refuses devices. A controller is used in whichever version holds it.
//
// Zone: the warden (root). Input: ids and bounds from an effective spec, hence from brigd, which may be conquered: ids
// are [A-Za-z0-9_-]{1,64}, and the floor (package warden) has refused bounds that the kernel would take for none. What is
// out of the kernel's ranges the kernel refuses. File contents come from the kernel.
// Output: directories below one parent group of the engine, and descriptors of them.
// Spec: the kernel's admin-guide/cgroup-v1 and cgroup-v2; systemd's cgroup delegation.
// Answers: A2 (a neighbour is starved), A3 (device nodes; CVE-2022-0492: nothing here is mounted inside a container).
package cgroup
