// Package code holds the programs that are built into the warden: the system call filters that nobody can ask to change
// (the floor below every container, with its variants; the default; those of brigd and its workers), the device program
// of control groups, and the init of containers.
//
// Zone: brig-warden, root. They are data, so that no compiler and no assembler runs as root.
// Input: the files here, which dist/embed makes from tables (make embed) and people review. Each line is the bytes of an
// instruction, two spaces, and what it says; a test compares all of them with the tables.
// Output: bytes.
// Spec: seccomp(2), RFC 9669, elf(5).
// Answers: A1, A2, A3, A4, as the tables say: dist/embed/filters, dist/embed/devices, dist/embed/reaper.
package code

//go:generate go run ../../../dist/embed -o .
