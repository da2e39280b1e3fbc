package birth

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
)

// Process is a program with all that it is executed with, in the kernel's terms.
type Process struct {
	Args, Env []string
	Cwd       string

	UID, GID uint32
	Groups   []uint32
	Umask    uint32

	// Held are the capabilities that there are until the last are given up.
	Held                                                 uint64
	Bounding, Effective, Permitted, Inheritable, Ambient uint64
	NoNewPrivs                                           bool
	Filters                                              []calls.Filter
	AppArmor, SELinux                                    string

	Limits      []Limit
	Files       Limit // that of open files before it: until the program is executed it is as high as it may be
	OOMScoreAdj string
	Scheduler   []byte // struct sched_attr; none: the kernel's default
	IOPriority  int
	Personality int
	// CPUs is the mask of sched_setaffinity(2); none: every processor.
	CPUs []uint64

	Terminal   bool
	Rows, Cols uint16
	Piped      bool // standard input is <stdin>, output and errors are <stderr>; otherwise they are the runtime's
	FDs        int  // descriptors from 3 on that it finds there, <fd0>, <fd1>, …

	LastCap  int
	ExecByFD bool // see plan.Host
}

// Limit is a resource limit of setrlimit(2). Its hard value is above what a child begins with if it is to be raised.
type Limit struct {
	Name       string // for errors
	Kind       int    // RLIMIT_*
	Soft, Hard uint64
	Raise      bool
}

// Copies of descriptors are out of the way from aside on.
const aside = 128

// prepare is what takes rights of the host: limits above brig-oci's own, and how soon memory is taken back.
func (l *List) prepare(p *Process) {
	if p.Files.Hard > 0 {
		l.limit(p.Files, p.Files.Hard)
	}
	for _, r := range p.Limits {
		if r.Raise {
			l.limit(r, r.Hard)
		}
	}
	if p.OOMScoreAdj != "" {
		l.open("open oom_score_adj", unix.AT_FDCWD, "/proc/self/oom_score_adj", unix.O_WRONLY, 0).To("score")
		l.do("set oom_score_adj to "+p.OOMScoreAdj, unix.SYS_WRITE, calls.Ref("score"), p.OOMScoreAdj, len(p.OOMScoreAdj))
	}
	if p.Scheduler != nil {
		l.do("set the scheduler", unix.SYS_SCHED_SETATTR, 0, p.Scheduler, 0)
	}
	if p.IOPriority != 0 {
		l.do("set the I/O priority", unix.SYS_IOPRIO_SET, 1, 0, p.IOPriority)
	}
	if len(p.CPUs) > 0 {
		l.do("set the processors", unix.SYS_SCHED_SETAFFINITY, 0, 8*len(p.CPUs), p.CPUs)
	}
}

func (l *List) limit(r Limit, soft uint64) {
	l.do(fmt.Sprintf("set the limit %s to %d:%d", r.Name, soft, r.Hard), unix.SYS_PRLIMIT64, 0, r.Kind, []uint64{soft, r.Hard}, 0)
}

// program ends a list: ids, capabilities, the search for the program, limits, what wait adds, the confinement, execve. With
// no_new_privs the filters come last; without it loading them takes CAP_SYS_ADMIN, and the capabilities go last (T16).
func (l *List) program(p *Process, wait func()) error {
	for c := 0; c <= p.LastCap; c++ {
		if p.Bounding&(1<<c) == 0 {
			l.do("drop a capability from the bounding set", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
		}
	}
	l.do("keep capabilities over the change of ids", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	l.become("the program", p.UID, p.GID, p.Groups...)
	l.do("set the umask", unix.SYS_UMASK, int(p.Umask))
	if p.NoNewPrivs {
		l.capabilities(p)
	} else {
		l.capset("set the capabilities of the search", p.Effective, p.Held, p.Inheritable)
	}
	if err := l.find(p); err != nil {
		return err
	}
	const sigSetmask, sigsetSize = 2, 8
	l.do("unblock signals", unix.SYS_RT_SIGPROCMASK, sigSetmask, []uint64{0}, 0, sigsetSize)
	listens := slices.ContainsFunc(p.Filters, func(f calls.Filter) bool { return f.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 })
	if !listens {
		wait()
	}
	if p.Personality >= 0 {
		l.do("set the execution domain", unix.SYS_PERSONALITY, p.Personality)
	}
	if !p.NoNewPrivs {
		l.capset("set the capabilities that load filters", p.Held, p.Held, p.Inheritable)
	}
	l.descriptors(p)
	for _, r := range p.Limits {
		l.limit(r, r.Soft)
	}
	if p.NoNewPrivs {
		l.do("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	for _, f := range p.Filters {
		// SPEC_ALLOW: without it kernels before 5.16 slow down every process with a filter (T16).
		l.do("load the "+f.Name+" filter", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			int(f.Flags|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW), f).Kind = clone.Offer
	}
	if !p.NoNewPrivs {
		l.capabilities(p)
	}
	if listens { // whoever creates it gives its descriptor away, and is gone when it is started
		wait()
	}
	l.exec(p)
	return nil
}

// become takes ids, of the user namespace that was entered if one was. A change of ids can make a process readable (T13).
func (l *List) become(who string, uid, gid uint32, groups ...uint32) {
	if len(groups) > 0 {
		l.do("set supplementary groups", unix.SYS_SETGROUPS, len(groups), groups)
	} else {
		// A user namespace whose maps were written without privilege denies it: then there are none to drop.
		l.do("drop supplementary groups", unix.SYS_SETGROUPS, 0, 0)
	}
	l.do("take the group ids of "+who, unix.SYS_SETRESGID, int(gid), int(gid), int(gid))
	l.do("take the user ids of "+who, unix.SYS_SETRESUID, int(uid), int(uid), int(uid))
	l.do("become unreadable again", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
}

func (l *List) capset(what string, effective, permitted, inheritable uint64) {
	l.do(what, unix.SYS_CAPSET, []uint32{unix.LINUX_CAPABILITY_VERSION_3, 0},
		[]uint32{uint32(effective), uint32(permitted), uint32(inheritable),
			uint32(effective >> 32), uint32(permitted >> 32), uint32(inheritable >> 32)})
}

// capabilities sets what the process will have; ambient ones survive the execution of a program by a user other than root.
func (l *List) capabilities(p *Process) {
	l.capset("set the final capabilities", p.Effective, p.Permitted, p.Inheritable)
	l.do("clear ambient capabilities", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	for c := 0; c <= p.LastCap; c++ {
		if p.Ambient&(1<<c) != 0 {
			l.do("raise an ambient capability", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0)
		}
	}
}

// labelled writes the labels that the next program is executed with. The file is opened with the ids that write it, which the
// kernel checks, through the host's own proc (CVE-2025-52881).
func (l *List) labelled(p *Process) {
	const what = "set the label of the program to "
	open := func(said, name string) *calls.Op {
		return l.open(said, calls.Ref("hostproc"), "thread-self/attr/"+name, unix.O_WRONLY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV).To("attr")
	}
	if p.AppArmor != "" {
		said, have, text := what+p.AppArmor, l.label("have"), "exec "+p.AppArmor
		open(said, "apparmor/exec").Next(have).Or(unix.ENOENT)
		open(said, "exec")
		l.place(have)
		l.do(said, unix.SYS_WRITE, calls.Ref("attr"), text, len(text))
		l.close("attr")
	}
	if p.SELinux != "" {
		open(what+p.SELinux, "exec")
		l.do(what+p.SELinux, unix.SYS_WRITE, calls.Ref("attr"), p.SELinux, len(p.SELinux))
		l.close("attr")
	}
}

// descriptors puts the descriptors that the program was given at 3, 4, …
func (l *List) descriptors(p *Process) {
	if p.FDs == 0 {
		return
	}
	move := func(from, to calls.Ref) {
		l.do("move a descriptor aside", unix.SYS_FCNTL, from, unix.F_DUPFD_CLOEXEC, aside).To(to)
	}
	move("<sync>", "<sync>") // by which brig-oci learns whether the program was executed
	if l.waits {             // with a listener after this
		move("<fifo>", "<fifo>")
	}
	if p.ExecByFD {
		move("program", "program")
	}
	for i := range p.FDs {
		move(calls.Ref(fmt.Sprintf("<fd%d>", i)), calls.Ref(fmt.Sprintf("given%d", i)))
	}
	for i := range p.FDs {
		l.do("place a descriptor", unix.SYS_DUP3, calls.Ref(fmt.Sprintf("given%d", i)), 3+i, 0)
	}
}

// candidates are the names under which the program may be: itself if it has a slash, otherwise one in each directory of
// PATH. A relative one is below the working directory.
func candidates(p *Process) (found []string) {
	program := p.Args[0]
	if strings.Contains(program, "/") {
		return []string{program}
	}
	for _, e := range slices.Backward(p.Env) {
		if dirs, ok := strings.CutPrefix(e, "PATH="); ok {
			for dir := range strings.SplitSeq(dirs, ":") {
				if strings.HasPrefix(dir, "/") {
					found = append(found, path.Join(dir, program))
				}
			}
			return found
		}
	}
	return nil
}

// find finds the program as its user would, inside the root. Magic links are refused, so that /proc/self/exe is not
// brig-oci (CVE-2019-5736).
func (l *List) find(p *Process) error {
	list := candidates(p)
	l.program0 = p.Args[0]
	if len(list) == 0 || len(list) > 64 {
		return &Missing{p.Args[0]}
	}
	what, found := "find program "+p.Args[0], l.label("found")
	for _, name := range list {
		below, next := name, l.label("next")
		if !strings.HasPrefix(name, "/") {
			below = path.Join(p.Cwd, name)
		}
		opened := l.open(what, l.root, strings.TrimPrefix(below, "/"), unix.O_PATH, inRoot).To("program").
			Jump(next, unix.ENOENT, unix.ENOTDIR).Remember(next, unix.EACCES)
		access := l.do(what, unix.SYS_FACCESSAT2, calls.Ref("program"), "", unix.X_OK, unix.AT_EMPTY_PATH|unix.AT_EACCESS).
			Remember(next, unix.EACCES)
		l.search[opened], l.search[access] = true, true
		l.do(what, 0, name).To("path").Next(found).Kind = clone.Set
		l.place(next)
	}
	end := l.do(what, 0, int(unix.ENOENT))
	end.Kind = clone.Fail
	l.search[end] = true
	l.place(found)
	return nil
}

// exec replaces the process, by descriptor where that gives it its name; a script needs the path in any case.
func (l *List) exec(p *Process) {
	execute := func(nr uintptr, args ...any) *calls.Op {
		o := l.do("execute "+p.Args[0], nr, args...)
		o.Kind = clone.Exec
		l.execute[o] = true
		return o
	}
	if p.ExecByFD {
		execute(unix.SYS_EXECVEAT, calls.Ref("program"), "", p.Args, p.Env, unix.AT_EMPTY_PATH).Or(unix.ENOENT)
	}
	execute(unix.SYS_EXECVE, calls.Ref("path"), p.Args, p.Env)
}
