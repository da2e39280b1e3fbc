// Package landlock holds the three raw calls of Landlock and the structures that they take: for the warden, which puts
// them into plans, and for programs that restrict themselves.
//
// Zone: leaf, imported by every process that is confined or confines.
// Input: descriptors and access masks from its callers only.
// Spec: landlock(7); ABI 1 (file system, Linux 5.13) to 7 (log flags, 6.15).
package landlock
