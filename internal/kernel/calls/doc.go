// Package calls describes what a child does as a list of system calls with names: of results, of descriptors that it is
// given, of places to jump to. A list is data: it can be printed, compared, and made a program of package clone.
//
// Zone: the processes that fork (root). Input: lists that they computed. Output: by [Start], a process or the operation that
// failed, in words. Spec: none; the calls' manual pages. Answers: A3 (an operation says what it is for).
package calls
