// Package bpf assembles and loads the few eBPF programs that Brig has: device programs for control groups of version 2
// and packet programs for tc. A program is a slice of instructions with labels, readable as data; there is no compiler,
// no ELF file and no library between it and the kernel.
//
// Zone: the warden, which alone has the capability to load programs.
// Input: instructions that this code base wrote. The numbers in them (devices, addresses) come from an effective spec
// that the floor has passed; they are operands, never code.
// Output: file descriptors of programs and maps, close-on-exec. A control group keeps the program
// that is attached to it.
// Spec: bpf(2); RFC 9669 (the instruction set), which gives the encoding in asm.go.
// Answers: A3 (device nodes), A7 (sender addresses).
package bpf
