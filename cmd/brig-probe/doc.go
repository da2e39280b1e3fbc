// Command brig-probe is the attacker. It is the only program of the drill's image, static and small, and knows two
// kinds of work: the handful of everyday commands that an image needs (true, sleep, cat, a tiny server), chosen by the
// name that it is called by, and the probes.
//
// A probe is one technique of one attack class A1–A7 of the survey. It tries the technique for real, bounded in time
// and size, and prints one line of JSON:
//
//	{"probe":"open-by-handle","attack":"A3","verdict":"blocked","layer":"seccomp or capability",
//	 "detail":"open_by_handle_at(/) → EPERM","duration_ms":0.2}
//
// Rules that every probe keeps:
//   - The verdict is observed. "exposed" is said only when a canary was read, changed or reached, or when the kernel
//     executed the forbidden request. A technique that this kernel does not have is "not-applicable", one that could
//     not be tried is "could-not-try"; neither counts as blocked.
//   - Nothing outside the container is harmed: canaries are planted by the drill and recognised by a token; arguments
//     that reach a dangerous system call are ones that the kernel must reject behind its permission checks.
//   - Nothing is left behind: children die with their parent, memory and files go with the container.
//
// Zone: inside a container, as its program; some probes also run on the host, in the attacker's network namespace.
// Input: the arguments, written by the drill.
// Output: one line of JSON on standard output; exit status 0 whenever a verdict was printed.
// Answers: A1–A7, by attacking.
package main
