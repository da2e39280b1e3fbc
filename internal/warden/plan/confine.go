package plan

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// sizeofHow is the size of struct open_how.
const sizeofHow = unix.SizeofOpenHow

// capsVersion is _LINUX_CAPABILITY_VERSION_3.
const capsVersion = 0x20080522

// checkProcess holds a process against what a plan can express.
func checkProcess(p *wire.Process) error {
	c := p.Capabilities
	switch {
	case len(p.Args) == 0 || p.Args[0] == "":
		return fmt.Errorf("plan: no program to execute: %w", unix.EINVAL)
	case p.Cwd != "/" && checkPath(p.Cwd) != nil:
		return fmt.Errorf("working directory %q: %w", p.Cwd, checkPath(p.Cwd))
	case c.Effective&^c.Permitted != 0, c.Permitted&^c.Bounding != 0, c.Inheritable&^c.Bounding != 0,
		c.Ambient&^(c.Permitted&c.Inheritable) != 0:
		return fmt.Errorf("plan: capability sets contradict each other: %w", unix.EINVAL)
	case p.User.Umask != nil && *p.User.Umask > 0o777:
		return fmt.Errorf("plan: umask %#o: %w", *p.User.Umask, unix.EINVAL)
	}
	for _, s := range append(slices.Clone(p.Args), p.Env...) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("plan: an argument or variable contains a NUL byte: %w", unix.EINVAL)
		}
	}
	return nil
}

// cwd makes and enters the working directory. It is resolved in the root without magic links, so it cannot be a
// directory of the host that a descriptor still names (CVE-2024-21626).
func (b *builder) cwd(dir string, make bool) {
	if dir == "/" {
		return
	}
	const why = "The working directory is resolved inside the root; magic links are refused (CVE-2024-21626)."
	what := "enter the working directory " + dir
	target := "cwd"
	if make {
		target = b.target(dir, false)
	} else {
		b.do(what, why, "openat2", res(b.root), str(dir[1:]), how(openDir, 0, inRoot), num(sizeofHow)).to(target)
	}
	b.do(what, why, "fchdir", res(target))
}

// stdio places the three standard descriptors.
func (b *builder) stdio(terminal bool) {
	const why = "Standard input, output and error belong to the process's user (T19)."
	if !terminal {
		for i, name := range []string{"stdin", "stdout", "stderr"} {
			b.do("place "+name, why, "dup3", res("<"+name+">"), num(i), num(0))
		}
		return
	}
	for i := range 3 {
		b.do("place the terminal", why, "dup3", res("<tty>"), num(i), num(0))
	}
	b.do("take the terminal", "The session's controlling terminal.", "ioctl", num(0),
		flags("TIOCSCTTY", unix.TIOCSCTTY), num(0))
}

// program ends a birth or join: ids, capabilities, the search for the program, the gate, the confinement, execve.
//
// There are two orders (T16). With no_new_privs the filters come last. Without it, loading a filter needs
// CAP_SYS_ADMIN in the user namespace, so the capabilities of the user namespace's creator stay permitted until the
// filters are loaded; the search for the program happens before, with the final ids and effective capabilities.
func (b *builder) program(p *wire.Process, h *Host) error {
	c := p.Capabilities
	nnp := !p.AllowNewPrivileges
	b.ids(p, h.LastCap)
	if nnp {
		b.capset(c.Effective, c.Permitted, c.Inheritable, "The final capability sets.")
		b.ambient(c.Ambient)
	} else {
		all := uint64(1)<<(h.LastCap+1) - 1
		b.capset(c.Effective, all, c.Inheritable, "Effective as at the end, so that the program is searched with the "+
			"rights of its user; the rest is permitted until the filters are loaded.")
	}
	if err := b.search(p); err != nil {
		return err
	}
	if !b.init { // which loses no signal that comes before it waits for one
		b.unblock()
	}
	b.gate()
	if nnp {
		b.do("set no_new_privs", "No program gains privileges by its file's mode or capabilities.", "prctl",
			flags("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS), num(1), num(0), num(0), num(0))
	} else {
		all := uint64(1)<<(h.LastCap+1) - 1
		b.capset(all, all, c.Inheritable, "Loading filters without no_new_privs needs CAP_SYS_ADMIN here.")
	}
	if h.Landlock && !p.NoLandlock {
		b.landlock()
	}
	b.seccomp(h.Filters)
	if !nnp {
		b.capset(c.Effective, c.Permitted, c.Inheritable, "The final capability sets.")
		b.ambient(c.Ambient)
	}
	b.exec(p, h.ExecByFD)
	return nil
}

// ids takes the process's own ids and gives up capabilities for good.
func (b *builder) ids(p *wire.Process, lastCap int) {
	for c := 0; c <= lastCap; c++ {
		if p.Capabilities.Bounding&(1<<c) == 0 {
			b.do("drop a capability from the bounding set", "What is not in the bounding set cannot come "+
				"back by any execve.", "prctl", flags("PR_CAPBSET_DROP", unix.PR_CAPBSET_DROP), num(c))
		}
	}
	b.do("keep capabilities over the change of ids", "Until capset sets exactly what was asked for.", "prctl",
		flags("PR_SET_KEEPCAPS", unix.PR_SET_KEEPCAPS), num(1))
	u := p.User
	const why = "Ids and groups of the program, numbers inside the sandbox's range."
	gid, uid := num(int(u.GID)), num(int(u.UID))
	b.do("take group ids", why, "setresgid", gid, gid, gid)
	if len(u.Groups) > 0 {
		b.do("set supplementary groups", why, "setgroups", num(len(u.Groups)), halves(fmt.Sprint(u.Groups), u.Groups...))
	} else {
		b.do("drop supplementary groups", why, "setgroups", num(0), num(0))
	}
	b.do("take user ids", why, "setresuid", uid, uid, uid)
	if u.Umask != nil {
		b.do("set the umask", why, "umask", octal(*u.Umask))
	}
	b.do("become unreadable", "A change of ids can make a process readable again (T13).", "prctl",
		flags("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE), num(0))
}

func (b *builder) capset(effective, permitted, inheritable uint64, why string) {
	sets := halves("", uint32(effective), uint32(permitted), uint32(inheritable),
		uint32(effective>>32), uint32(permitted>>32), uint32(inheritable>>32))
	sets.show = func() string {
		return fmt.Sprintf("{effective %s; permitted %s; inheritable %s}", capText(effective), capText(permitted),
			capText(inheritable))
	}
	b.do("set capabilities", why, "capset", halves("{version 3}", capsVersion, 0), sets)
}

func (b *builder) ambient(mask uint64) {
	for c := range 64 {
		if mask&(1<<c) != 0 {
			b.do("raise an ambient capability", "Kept by a program of a user other than root.", "prctl",
				flags("PR_CAP_AMBIENT", unix.PR_CAP_AMBIENT), flags("RAISE", unix.PR_CAP_AMBIENT_RAISE), num(c), num(0), num(0))
		}
	}
}

func (b *builder) landlock() {
	b.do("enter a Landlock domain", "No process inside can trace one outside, mount, or make device nodes, even if the "+
		"filter had a hole.", "landlock_restrict_self", res("<landlock>"), num(0))
}

func loadFlags(f Filter) string {
	if f.Flags&unix.SECCOMP_FILTER_FLAG_LOG != 0 {
		return "SPEC_ALLOW|LOG"
	}
	return "SPEC_ALLOW"
}

// seccomp loads filters. SPEC_ALLOW: without it kernels before 5.16 slow down every process with a filter (T16).
func (b *builder) seccomp(filters []Filter) {
	for _, f := range filters {
		b.do("load the "+f.Name+" filter", "System calls that no ordinary program needs do not reach the kernel; filters "+
			"stack, each can only take away.", "seccomp", flags("SET_MODE_FILTER", unix.SECCOMP_SET_MODE_FILTER),
			flags(loadFlags(f), f.Flags|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW), filter(f.Name, f.Code))
	}
}
