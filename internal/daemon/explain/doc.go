// Package explain says what the warden would execute for a container, and what the kernel says of one that runs.
//
// Zone: brigd. Input: plans and texts of /proc, from the warden; names in them were chosen by strangers and are printed quoted.
// Output: a line for each system call with its reason and the attacks that it answers; the differences between what was asked
// for and what is. What a number means follows from the system call and the place of the argument, why an operation is there
// from its What. The golden files of package plan are printed by it: they are the review of what a container may do.
// Spec: the manual pages of the calls; proc(5).
package explain
