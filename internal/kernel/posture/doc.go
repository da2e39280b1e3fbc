// Package posture replaces what a process has from who started it by fixed values, for all that comes of it.
//
// Zone: brig, as root, in the moment before it starts the keeper or becomes it; brig-oci (root). The keeper and the warden
// change none of these values, and do not import this.
// Input: none. Output: the values of the calling thread and of its process.
// Spec: umask(2), personality(2), sched_setattr(2), ioprio_set(2), sched_setaffinity(2), set_mempolicy(2), prctl(2)
// PR_SET_THP_DISABLE and PR_SET_MEMORY_MERGE, core(5).
// Answers: T15 (an engine that was started with nohup, nice or taskset must not make containers that differ).
//
// Each value goes from a thread to what it forks and executes, and to the threads of that:
//
//	brig: Set ──execve or fork──▶ keeper ──▶ warden ──▶ spawner ──▶ containers, brigd and workers
//
// What does not go this way, or is not the same for the engine and its containers, is set further down: signals and the
// timer slack by the spawner, limits, the keyring, the directory and the score of the OOM killer by each child's list.
package posture
