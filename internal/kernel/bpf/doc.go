// Package bpf loads the few eBPF programs that Brig has: the device program of control groups of version 2 and packet
// programs for tc. No library is between it and the kernel. Package asm makes the programs' bytes.
//
// Zone: the warden, which alone has the capability to load programs.
// Input: instructions that this code base wrote, and elements of maps: interfaces and addresses of endpoints.
// Output: file descriptors of programs and maps, close-on-exec. A control group keeps the program
// that is attached to it.
// Spec: bpf(2).
// Answers: A3 (device nodes), A7 (sender addresses).
package bpf
