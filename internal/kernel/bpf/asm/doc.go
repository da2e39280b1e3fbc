// Package asm assembles eBPF programs: a program is a slice of instructions with labels, readable as data; there is no
// compiler and no ELF file.
//
// Zone: leaf, imported by whoever writes a program: one that is constant is assembled before it is built in, and the
// root process that loads it does not link this package.
// Input: instructions that this code base wrote. The numbers in them (devices, addresses) are operands, never code.
// Output: the program's bytes, for package bpf.
// Spec: RFC 9669 (the instruction set).
package asm
