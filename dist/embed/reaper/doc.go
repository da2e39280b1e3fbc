// Package reaper writes the program that is process 1 of a container with --init: an ELF file of a few hundred bytes,
// made of machine code and nothing else, whose process has a page of code and a stack.
//
// Zone: none for this package: dist/embed runs it, and what comes out is data of the warden (internal/warden/code). The
// program runs in containers, with the confinement and the ids of the program that it looks after.
// Input: none here. The program reads its arguments: the path to execute, then the arguments for that. It gets them
// from a plan, but anybody in the container can execute it by /proc/1/exe.
// Output: the file. The exit status of the process is the one of the program, 128 + signal if it was killed; 127 and
// 126 if it is missing or cannot be executed; 125 if there is something that init itself cannot do.
//
//	block all signals ── fork ──▶ own process group, the terminal's foreground, no signal blocked ── execve
//	    │                                                                                       └─ exit 127 or 126
//	    ▼
//	┌─▶ wait for a signal ── SIGCHLD ──▶ reap one child ◀─┐
//	├─── send it to the program ◀── another               ├── an orphan
//	└──────────────────────────── no child has ended ─────┤
//	                                                      └── the program ──▶ exit with its status
//
// A blocked signal is kept even where process 1 would ignore it, and no handler is needed: one place waits.
//
// Spec: elf(5), the manual pages of the calls; the instruction sets' reference manuals (Intel SDM 2, Arm DDI 0487).
// Answers: A2 (a container does not fill with zombies), A3 (CVE-2019-5736: its file is sealed).
package reaper
