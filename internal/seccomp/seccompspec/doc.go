// Package seccompspec turns the seccomp profile of an OCI configuration into filters, typed and compiled.
//
// Zone: brig-oci (root), of the profile in its bundle, which an engine wrote; brigd, unprivileged, of what package seccompjson
// makes of a caller's.
// Input: actions, names and arguments in the specification's terms.
// Output: a filter.Filter, or the program of it, for one architecture; or an error that names what cannot be done. Nothing of a
// profile is silently dropped that would have forbidden something.
// Spec: OCI runtime-spec 1.3, config-linux.md, Seccomp. Answers: A1 (kernel surface).
package seccompspec
