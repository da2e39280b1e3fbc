// Package text prints plans, one line for each system call, as a person reads them: in tests, whose golden files are the
// review of what a container may do, and in `brig explain`. The warden does not link it.
//
// Zone: everything without privileges. Input: plans. Output: text. What a number means follows from the system call and
// the place of the argument, why an operation is there from its What.
package text
