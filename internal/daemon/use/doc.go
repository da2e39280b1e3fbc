// Package use reads what a container uses from the texts of control groups and of /proc.
//
// Zone: brigd.
// Input: control files of either version, net/dev and stat of /proc: the kernel's words, among them names of interfaces
// that a container may have chosen.
// Output: numbers, in the shape of the Docker Engine API.
// Spec: admin-guide/cgroup-v1 and cgroup-v2 of the kernel, proc(5); GET /containers/{id}/stats.
// Answers: A2 (texts are bounded by whoever reads them; what does not parse counts as nothing).
package use
