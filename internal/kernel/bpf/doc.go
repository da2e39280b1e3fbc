// Package bpf loads the few eBPF programs that Brig has: the device program of control groups of version 2 and packet
// programs for tc. No library is between it and the kernel. Package asm makes the programs' bytes, package bpfmap the
// maps of packet programs.
//
// Zone: the warden, which loads the first, and brig-router, which loads the others.
// Input: instructions that this code base wrote.
// Output: file descriptors of programs, close-on-exec. A control group keeps the program that is attached to it.
// Spec: bpf(2).
// Answers: A3 (device nodes), A7 (sender addresses).
package bpf
