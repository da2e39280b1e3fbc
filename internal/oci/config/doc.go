// Package config reads what an engine hands to an OCI runtime: a bundle's config.json, a process for exec, resources for
// update; and holds it against what brig-oci does.
//
// Zone: brig-oci (root). Input: files that the engine wrote that called it, which is as trusted as root; in size they are
// bounded all the same, and nothing that is not understood is taken for something else.
// Output: a specs.Spec that holds nothing that brig-oci would ignore; mounts with their options turned into the kernel's.
// Spec: OCI runtime-spec 1.3: config.md, config-linux.md. Fields that the specification does not know are ignored, as it
// demands; what it knows and brig-oci does not do is refused by name.
// Answers: A3 (CVE-2019-16884, CVE-2023-27561: what is mounted below /proc).
package config
