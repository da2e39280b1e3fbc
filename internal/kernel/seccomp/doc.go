// Package seccomp holds what the kernel defines about system call filters: the numbers of calls, the constants of
// programs and verdicts, and the one raw call that loads a program. It decides nothing.
//
// Zone: leaf, imported by brigd, which turns names into numbers and compiles; by what makes the built-in programs; and by
// tests, which load them. The warden hands programs over as bytes and imports nothing of this.
// Input: numbers and names from its callers only.
// Spec: seccomp(2), the kernel's Documentation/userspace-api/seccomp_filter.rst.
package seccomp

//go:generate go run gen.go
