// Package clone makes processes whose child side executes nothing but a prepared list of raw system calls.
//
// Zone: brig-warden (root); the child is the warden's own code until its execve.
// Input: programs that the warden computed; nothing that a container wrote reaches this package.
// Output: a running process and its pidfd, or the step that failed and its errno.
//
// Between clone3 and execve a forked Go process may not allocate, grow its stack, take a lock or be preempted: the
// threads that would answer do not exist there. So the child runs one function, [spawn], that walks a table of [Step]
// and calls syscall.RawSyscall6.
//
// Who forks is not the warden but its spawner: a copy of the warden as it was when it was young, with one thread, a
// handful of descriptors and a few megabytes that it never touches. A fork of the warden itself would copy its page
// tables and its descriptors, and make it take a page fault for every page that it writes afterwards: several hundred
// for each container. What children inherit it has from its parent, but for two: signals, which the Go runtime needs in the
// parent, and the timer slack. The rest was given fixed values when the engine was started (package posture).
//
//	warden ──socket: request──▶ spawner ──clone3(CLONE_PARENT)──▶ stage 0 of a child
//	 │ ▲                           │                                  ▲
//	 │ └───── pid or errno ────────┘                                  │
//	 └──────────────── sync socket: its list, descriptors ────────────┘
//
// A child waits for its list, which is prepared while it is made, and ends with the warden: its sync socket does.
//
// The life of a child of two stages (a child of one stage execs or exits where stage 0 does); all of them are the
// warden's own children:
//
//	stage 0: maps its program … ──clone3(CLONE_PARENT)──▶ exits
//	                                     │
//	                                     ▼
//	          [gate: reads one byte] ◀──Pass── stage 1 ──execve──▶ the program
//	Done: end of file of the sync socket (closed by execve or by death)
//
// A program and its results lie in a cell: a part of a memory file that the warden has mapped, and that a child maps
// into its window, at the same address in every process. A report needs no system call, so that no seccomp filter can
// stop it: in the cell's first words the child notes the step it is at, the errno that stopped it, and the pid of
// stage 1. The sync socket only wakes.
//
// The parent is never held up by a child (no CLONE_VFORK, no CLONE_VM): every wait has a deadline, after which the
// child is killed by its pidfd.
//
// Spec: clone(2), close_range(2), pidfd_open(2), memfd_create(2).
// Answers: A2 (a stopped child freezes nobody), A3 (no descriptor of the engine reaches a container).
package clone
