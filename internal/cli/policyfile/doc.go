// Package policyfile compiles policy.toml, what an administrator has written, into what brigd and the warden check.
//
// Zone: brig, here as root (`brig policy apply`). No engine reads TOML.
// Input: a file of root's. Output: rules.Policy, or everything that is wrong with the file, with its lines.
// Spec: docs/policy.md, TOML 1.0.
// Answers: A3, traps 34: who holds privilege parses nothing but its own messages.
package policyfile
