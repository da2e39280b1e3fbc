// Package filter turns typed rules about system calls into programs for the kernel.
//
// Zone: brigd, unprivileged; brig-oci (root), of the profile in its bundle. The tables of the filters that are built into
// the warden are compiled here too, before there is a warden (dist/embed).
// Input: a Filter that package seccompspec made of a stranger's profile: it is validated and bounded in size. Nothing
// here reads JSON, names or files.
// Output: classic BPF programs, which can only say what the closed set of actions says. The warden trusts none of them:
// it stacks each on a floor of its own, and the kernel checks it.
// Spec: seccomp(2); struct seccomp_data; the severity order of SECCOMP_RET_*.
// Answers: A1 (kernel surface).
package filter
