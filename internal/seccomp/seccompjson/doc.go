// Package seccompjson reads seccomp profiles in Docker's JSON form and turns them into filters, typed and compiled.
//
// Zone: brigd, unprivileged.
// Input: a profile that a caller sent with --security-opt seccomp=…, at most 1 MiB, and Docker's own default profile.
// Output: a filter.Filter, or the program of it that the warden takes, for one architecture, kernel version and set of
// capabilities; or an error that names what cannot be done. Nothing of a profile is silently dropped that would have
// forbidden something.
// Spec: the format of Docker's profiles (archMap, includes, excludes) on top of the OCI runtime spec's linux.seccomp, which
// package seccompspec has.
// Answers: A1 (kernel surface). The floor filter of the warden holds whatever a profile says.
package seccompjson
