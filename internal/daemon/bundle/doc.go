// Package bundle describes a container to another OCI runtime, which makes it inside of a sandbox of Brig's.
//
// Zone: brigd. Input: an effective spec. Output: config.json, and the description of a process, for the warden to pass on
// unread: what the runtime makes of either ends at the sandbox and at its floor (internal/warden/runtime.go).
// Spec: OCI runtime-spec 1.0.2, config.md and config-linux.md.
package bundle
