// Package groups makes the control groups of an engine before its processes start: one group of the same name in every
// hierarchy, with bounds that leave the host enough to log in and act, whatever all containers do together.
//
//	Zone:    brig as root, before it becomes or starts the keeper.
//	Input:   /proc/self/cgroup and control files: the kernel's words, and names that the host's administrator chose.
//	Output:  groups; wire.Groups, from which a warden opens them.
//	Spec:    cgroups(7), admin-guide/cgroup-v1 and cgroup-v2 of the kernel; systemd's CGROUP_DELEGATION.
//	Answers: A2 (all containers together leave nothing for the host).
//
// Why here and not in the warden: it is needed once for as long as the machine runs, and wardens may come and go.
package groups
