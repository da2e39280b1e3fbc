// Package cgroup bounds containers: it makes their control groups, writes the limits, opens what a birth needs to
// enter them, reads them, freezes, kills and removes them. It serves version 1 (one mount per controller or several
// together), version 2, and both at once, where a controller is used in whichever version holds it and version 2 is
// used for what it does without controllers: killing, freezing, CPU time and pressure.
//
// Zone: the warden (root). Input: ids and bounds from an effective spec, hence from brigd, which may be conquered: ids
// are [A-Za-z0-9_-]{1,64}, and a bound that is absent where it must not be is refused. Bounds are checked here once
// more, against the kernel's ranges. File contents come from the kernel.
// Output: directories below one parent group of the engine, and descriptors of them.
// Spec: the kernel's admin-guide/cgroup-v1 and cgroup-v2; systemd's cgroup delegation.
// Answers: A2 (a neighbour is starved), A3 (device nodes; CVE-2022-0492: nothing here is mounted inside a container).
package cgroup
