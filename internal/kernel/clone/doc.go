// Package clone makes processes whose child side executes nothing but a prepared list of raw system calls.
//
// Zone: brig-warden and brig-keeper (root); the child is the warden's own code until its execve.
// Input: programs that the warden computed; nothing that a container wrote reaches this package.
// Output: a running process and its pidfd, or the step that failed and its errno.
//
// Between clone3 and execve a forked Go process may not allocate, grow its stack, take a lock or be preempted: the
// threads that would answer do not exist there. So the child runs one function, [spawn], that walks a table of [Step]
// and calls syscall.RawSyscall6. The table, the strings and the structures that it points to were made before the fork.
//
// The life of a child of two stages (a child of one stage execs or exits where stage 0 does):
//
//	parent ──clone3(CLONE_FILES)──▶ stage 0 ──close_range(UNSHARE)──▶ … ──clone3(CLONE_PARENT)──▶ exits
//	  │                                                                        │
//	  │  waits: pidfd of stage 0 ◀────────────── the pid of stage 1 ───────────┤
//	  ▼                                                                        ▼
//	Start returns                          [gate: reads one byte] ◀──Pass── stage 1 ──execve──▶ the program
//	  │                                                                        │
//	  └─ Done: end of file of the sync socket (closed by execve or by death) ◀──┘
//
// A report needs no system call, so that no seccomp filter can stop it: parent and child share one page of memory in
// which the child notes the step it is at, the errno that stopped it, and the pid of stage 1. The socket only wakes.
//
// The parent is never held up by a child (no CLONE_VFORK, no CLONE_VM): every wait has a deadline, after which the
// child is killed by its pidfd.
//
// Spec: clone(2), close_range(2), pidfd_open(2).
// Answers: A2 (a stopped child freezes nobody), A3 (no descriptor of the engine reaches a container).
package clone
