// Package fault has an engine struck at every step of what it does: its processes are killed, the machine goes down, the
// disk is full or broken, the client leaves. What the engine has acknowledged must be there afterwards, what it has not
// acknowledged must be there as a whole or not at all, and nothing may be left of either.
//
// The programs are those that people run. A step is a system call that changes something outside of its process, and a
// tracer (ptrace(2)) holds a process in front of one. What a verb's steps are is not written down here: the first run of
// each verb is recorded, and then struck step by step.
//
//	engine ──prepare──▶ state before ──verb, recorded──▶ state after      once for each verb
//	engine ──prepare──▶ verb, struck at step n ──▶ next brigd ──▶ state: one of the two, the second if acknowledged
//	       ──▶ what ran still runs ──▶ remove everything ──▶ census: what is there is what was there at first
//
// Every case is a subtest VERB/STEP/FAULT; `go test -v` lists them, and BRIG_SLOW=1 runs all.
package fault
