// Package feature tells what the running kernel can do, and what this process may do with it. Each feature is a value:
// a name, the version that brought it, what Brig does with it, how to get it, and a probe that asks the kernel itself
// wherever that costs microseconds; version numbers lie on kernels of distributions.
//
// Zone: the warden at its start, and the command line's doctor, with or without root.
// Input: answers of the kernel and files below /proc. Nothing that a container or image could influence.
// Output: values. A probe leaves nothing behind: what it makes are descriptors, and it closes them.
// Spec: the manual pages of the calls named; linux/nfnetlink.h, linux/bpf.h for the two messages built by hand.
package feature
