package plan

import (
	"bytes"
	"cmp"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// sigsetSize is what the kernel calls sizeof(sigset_t).
const sigsetSize = 8

// preamble replaces what a process has from its parent by fixed values (T15: a warden that was started with nohup must
// not make containers that ignore SIGHUP). It runs with the warden's privileges.
func (b *builder) preamble() {
	const why = "A process has its parent's signal dispositions, umask, scheduling and memory policy; a container's are " +
		"the same whoever started the engine."
	b.do("block signals", why, "rt_sigprocmask", flags("SIG_SETMASK", 2), words("{all}", ^uint64(0)), num(0),
		num(sigsetSize))
	none := make([]byte, 32) // handler, flags, restorer, mask
	for sig := 1; sig <= 64; sig++ {
		if sig == int(unix.SIGKILL) || sig == int(unix.SIGSTOP) {
			continue
		}
		b.do("reset a signal", why, "rt_sigaction", num(sig), mem("{SIG_DFL}", none), num(0),
			num(sigsetSize))
	}
	b.do("set the umask", why, "umask", octal(0o022))
	b.do("set the execution domain", why, "personality", flags("PER_LINUX", 0))
	b.do("set the scheduler", why, "sched_setscheduler", num(0), flags("SCHED_OTHER", 0), halves("{0}", 0))
	b.do("set the priority", why, "setpriority", flags("PRIO_PROCESS", 0), num(0), num(0))
	b.do("set the I/O priority", why, "ioprio_set", flags("IOPRIO_WHO_PROCESS", 1), num(0), num(0)).or(unix.ENOSYS)
	b.do("set the processor affinity", why, "sched_setaffinity", num(0), num(1024),
		mem("{all}", bytes.Repeat([]byte{0xff}, 1024)))
	b.do("set the memory policy", why, "set_mempolicy", flags("MPOL_DEFAULT", 0), num(0), num(0)).or(unix.ENOSYS)
	b.do("set the timer slack", why, "prctl", flags("PR_SET_TIMERSLACK", unix.PR_SET_TIMERSLACK), num(50000))
	b.do("allow huge pages", why, "prctl", flags("PR_SET_THP_DISABLE", unix.PR_SET_THP_DISABLE), num(0), num(0), num(0),
		num(0)).or(unix.EINVAL)
	b.do("forbid merging of memory", why, "prctl", flags("PR_SET_MEMORY_MERGE", unix.PR_SET_MEMORY_MERGE), num(0), num(0),
		num(0), num(0)).or(unix.EINVAL)
	const contents = "0x33" // the kernel's own default
	done := b.label("done")
	b.do("set what a core dump contains", why, "openat2", flags("AT_FDCWD", at(unix.AT_FDCWD)),
		str("/proc/self/coredump_filter"), how(unix.O_WRONLY, 0, 0), num(sizeofHow)).to("core").jump(done, unix.ENOENT)
	b.do("set what a core dump contains", why, "write", res("core"), str(contents), num(len(contents)))
	b.place(done)
	b.do("become unreadable", "Until execve this process is a copy of the warden: nobody may read its memory or follow "+
		"its /proc/PID/exe (T13).", "prctl", flags("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE), num(0))
}

// cgroups enters the cgroup v1 directories whose tasks files are <tasks0>, <tasks1>, ….
func (b *builder) cgroups(count int) {
	for i := range count {
		b.do("enter a cgroup", "A single-threaded process that writes 0 to an inherited tasks file does not wait for a "+
			"grace period; cgroup v2 is entered by clone3.", "write", res(fmt.Sprintf("<tasks%d>", i)), str("0"), num(1))
	}
}

// become takes ids in the user namespace that was just entered.
func (b *builder) become(uid, gid uint32, why string) {
	b.do("take group ids", why, "setresgid", num(int(gid)), num(int(gid)), num(int(gid)))
	b.do("drop supplementary groups", why, "setgroups", num(0), num(0))
	b.do("take user ids", why, "setresuid", num(int(uid)), num(int(uid)), num(int(uid)))
}

// fork begins stage 1 in new namespaces.
func (b *builder) fork(namespaces uint64, title, why string) {
	set := namespaces | unix.CLONE_PARENT
	args := Arg{text: "{" + spell(set, cloneFlags()) + "}", memory: func(p *clone.Program) uintptr { return p.ForkArgs(set) }}
	b.do("make the process", why, "clone3", args, num(int(clone.ForkArgsSize))).kind = clone.Fork
	b.stage(title)
}

// session gives the process a session and a keyring of its own.
func (b *builder) session() {
	b.do("start a session", "The process has no terminal and no process group of the engine.", "setsid")
	b.do("join a keyring", "A new, empty session keyring: keys of the engine are not the container's (T15).", "keyctl",
		flags("KEYCTL_JOIN_SESSION_KEYRING", unix.KEYCTL_JOIN_SESSION_KEYRING), num(0)).or(unix.ENOSYS)
}

// unblock ends what the preamble began with: from here on signals arrive.
func (b *builder) unblock() {
	b.do("unblock signals", "Signals arrive from here on.", "rt_sigprocmask", flags("SIG_SETMASK", 2), words("{}", 0),
		num(0), num(sigsetSize))
}

// gate tells the warden that the process waits, and waits.
func (b *builder) gate() {
	const why = "Gate: the warden sets resource limits and oom_score_adj, which need privileges that are gone here."
	sync := res(cmp.Or(b.sync, "<sync>"))
	b.do("reach the gate", why, "sendto", sync, mem("{0}", []byte{0}), num(1),
		flags("MSG_NOSIGNAL", unix.MSG_NOSIGNAL), num(0), num(0))
	b.do("wait at the gate", why, "read", sync, mem("{…}", []byte{0}), num(1)).kind = clone.Gate
}
