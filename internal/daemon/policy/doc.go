// Package policy turns a request and an image's config into one effective spec, or into all refusals at once.
//
// Zone: brigd. It decides; the warden's floor decides again on the same spec.
// Input: bodies of API requests (a caller chose them); image configs, users and groups (a stranger chose them).
// Output: wire.Spec and wire.Process, in which every zero value is the safe one; or Refusals, each with the option, its
// value, the reason and what would be allowed. Nothing of a label ever influences a spec; one of a request
// asks for restarts (life.go).
// Spec: the Docker Engine API's container create and exec create; the OCI runtime spec for the result.
// Answers: A2 (every container is bounded), A3 (capabilities, privileges, one spelling for every host path), A4 (an
// image's config is data: user, environment, entry point, working directory, volumes, ports, labels, stop signal).
//
// The order of every decision:
//
//	request ──▶ Decode ──▶ merge with the image's config ──▶ one builder per subject ──▶ Spec
//	            strict          (config.go)                       │
//	                                                              └──▶ refusals, collected ──▶ error
package policy
