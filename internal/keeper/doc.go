// Package keeper is the process that does not die: the warden's parent and subreaper.
//
// Zone: root, at most 300 lines.
// Input: the messages hold and drop of the warden (wire.KeepHold); exit statuses from the kernel; SIGTERM.
// Output: a warden that runs (started again when it died); the descriptors that a dead warden's successor needs (API
// listener, pty masters, writers of standard inputs, listening sockets of published ports, the router's namespace); one
// note per process that the dead warden left and that ended since, in RUN/exits.
// Spec: prctl(2) PR_SET_CHILD_SUBREAPER, waitid(2) with WNOWAIT: the note is written before the process is reaped.
// Answers: traps 3 (exit codes, terminals and containers survive a crash of both daemon and warden).
//
//	           start                      warden ended by itself (status 0)
//	┌────────┐ ─────▶ ┌─────────────────┐ ─────────────────────────────────▶ sweep own files, exit
//	│ locked │        │ warden runs     │
//	└────────┘        │ hold/drop, reap │ ◀──┐ warden died: wait 100 ms, start again, hand over what is held;
//	                  └─────────────────┘ ───┘ five deaths in ten seconds: give up with status 1
package keeper
