package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// begin makes the builder of a plan that begins in the engine's namespaces, with every signal blocked and otherwise with
// the fixed values of package clone's spawner, and enters the cgroup v1 directories whose tasks files are <tasks0>,
// <tasks1>, ….
func begin(root Ref, h *Host) *builder {
	b := &builder{root: root}
	b.stage("stage 0, in the engine's namespaces")
	// Until execve this process is a copy of the warden: nobody may read its memory or follow its /proc/PID/exe (T13).
	b.unreadable("become unreadable")
	// A single-threaded process that writes 0 to an inherited tasks file does not wait for a grace period; cgroup v2 is
	// entered by clone3.
	for i := range h.Tasks {
		b.do("enter a cgroup", unix.SYS_WRITE, Ref(fmt.Sprintf("<tasks%d>", i)), "0", 1)
	}
	// What takes a capability of the host: limits above what the engine has itself, and a score that may be worse than its
	// own. Those that are lower come last, so that they do not hold up what is done before.
	for _, r := range h.Resources {
		if r.Raise {
			b.setLimit(fmt.Sprintf("raise the limit %s to %d, for which the engine needs CAP_SYS_RESOURCE", r.Name, r.Hard), r.Kind, r.Hard, r.Hard)
		}
	}
	if h.OOMScoreAdj != "" {
		b.open("open oom_score_adj", unix.AT_FDCWD, "/proc/self/oom_score_adj", unix.O_WRONLY, 0).To("score")
		b.do("set oom_score_adj", unix.SYS_WRITE, Ref("score"), h.OOMScoreAdj, len(h.OOMScoreAdj))
	}
	return b
}

// limits sets resource limits that are no higher than what the process has.
func (b *builder) limits(list []Limit) {
	for _, r := range list {
		b.setLimit(fmt.Sprintf("set the limit %s to %d:%d", r.Name, r.Soft, r.Hard), r.Kind, r.Soft, r.Hard)
	}
}

func (b *builder) setLimit(what string, kind int, soft, hard uint64) {
	set := b.do(what, unix.SYS_PRLIMIT64, 0, kind, []uint64{soft, hard}, 0)
	if kind == unix.RLIMIT_CORE && hard == 1 { // which keeps dumps from the host, where the engine may have only 0
		set.Or(unix.EPERM)
	}
}

// become takes the ids of somebody, in the user namespace that was just entered if one was.
func (b *builder) become(who string, uid, gid uint32, groups ...uint32) {
	b.do("take the group ids of "+who, unix.SYS_SETRESGID, int(gid), int(gid), int(gid))
	if len(groups) > 0 {
		b.do("set supplementary groups", unix.SYS_SETGROUPS, len(groups), groups)
	} else {
		b.do("drop supplementary groups", unix.SYS_SETGROUPS, 0, 0)
	}
	b.do("take the user ids of "+who, unix.SYS_SETRESUID, int(uid), int(uid), int(uid))
	b.unreadableAgain()
}

// namespaces that a container and a worker are born in, beside those that were made before.
const namespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// fork begins stage 1, which is somebody, in new namespaces, or in none.
func (b *builder) fork(namespaces ForkArgs, who string) {
	b.do("make "+who, unix.SYS_CLONE3, namespaces, int(clone.ForkArgsSize)).Kind = clone.Fork
	b.stage("stage 1, " + who)
}

// session gives the process a session and a keyring of its own.
func (b *builder) session() {
	// The process has no terminal and no process group of the engine.
	b.do("start a session", unix.SYS_SETSID)
	// A new, empty session keyring: keys of the engine are not the container's (T15).
	b.do("join a keyring", unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0).Or(unix.ENOSYS)
}

func (b *builder) unreadable(what string) { b.do(what, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0) }

// unreadableAgain: a change of ids can make a process readable (T13).
func (b *builder) unreadableAgain() { b.unreadable("become unreadable again") }

// unblock ends what a child of the spawner begins with.
func (b *builder) unblock() {
	const sigSetmask, sigsetSize = 2, 8 // SIG_SETMASK, sizeof(sigset_t)
	// Signals arrive from here on.
	b.do("unblock signals", unix.SYS_RT_SIGPROCMASK, sigSetmask, []uint64{0}, 0, sigsetSize)
}
