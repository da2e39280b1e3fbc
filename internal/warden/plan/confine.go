package plan

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/wire"
)

// CheckProcess holds a process against what a plan can express.
func CheckProcess(p *wire.Process) error {
	c := p.Capabilities
	switch {
	case len(p.Args) == 0 || p.Args[0] == "":
		return fmt.Errorf("there is no program to execute: %w", unix.EINVAL)
	case p.Cwd != "/" && checkPath(p.Cwd) != nil:
		return fmt.Errorf("working directory %q: %w", p.Cwd, checkPath(p.Cwd))
	case c.Permitted&^c.Bounding != 0:
		return fmt.Errorf("permitted capabilities must be within the bounding set: %w", unix.EINVAL)
	case p.User.Umask != nil && *p.User.Umask > 0o777:
		return fmt.Errorf("umask %#o: %w", *p.User.Umask, unix.EINVAL)
	}
	for _, s := range append(slices.Clone(p.Args), p.Env...) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("arguments and environment cannot hold a zero byte: %w", unix.EINVAL)
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
	what := "enter the working directory " + dir
	target := Ref("cwd")
	if make {
		target = b.target(dir, false)
	} else {
		b.open(what, b.root, dir[1:], openDir, inRoot).To(target)
	}
	b.do(what, unix.SYS_FCHDIR, target)
}

// stdio places the three standard descriptors.
func (b *builder) stdio(terminal bool) {
	// Standard input, output and error belong to the process's user (T19).
	if !terminal {
		for i, name := range []string{"stdin", "stdout", "stderr"} {
			b.do("place "+name, unix.SYS_DUP3, Ref("<"+name+">"), i, 0)
		}
		return
	}
	for i := range 3 {
		b.do("place the terminal", unix.SYS_DUP3, Ref("<tty>"), i, 0)
	}
	// The session's controlling terminal.
	b.do("take the terminal", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
}

// program ends a birth or join: ids, capabilities, the search for the program, limits, the confinement, execve.
//
// There are two orders (T16). With no_new_privs the filters come last. Without it, loading a filter needs
// CAP_SYS_ADMIN in the user namespace, so the capabilities of the user namespace's creator stay permitted until the
// filters are loaded; the search for the program happens before, with the final ids and effective capabilities.
func (b *builder) program(p *wire.Process, h *Host) error {
	b.attribute("AppArmor profile", "self/attr/apparmor/exec", p.AppArmor, "exec "+p.AppArmor)
	b.attribute("SELinux label", "self/attr/exec", h.ProcessLabel, h.ProcessLabel)
	c := p.Capabilities
	nnp := !p.AllowNewPrivileges
	all := uint64(1)<<(h.LastCap+1) - 1
	b.ids(p, h.LastCap)
	if nnp {
		b.capset("set the final capabilities", c.Permitted, c.Permitted, 0)
	} else {
		// Effective as at the end, so that the program is searched with the rights of its user; the rest is permitted
		// until the filters are loaded.
		b.capset("set the capabilities of the search", c.Permitted, all, 0)
	}
	if err := b.search(p); err != nil {
		return err
	}
	if !b.init { // which loses no signal that comes before it waits for one
		b.unblock()
	}
	b.limits(h.Resources)
	if nnp {
		// No program gains privileges by its file's mode or capabilities.
		b.do("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	} else {
		// Loading filters without no_new_privs needs CAP_SYS_ADMIN here.
		b.capset("set the capabilities that load filters", all, all, 0)
	}
	if h.Landlock && !p.NoLandlock {
		// No process inside can trace one outside, mount, or make device nodes, even if the filter had a hole.
		b.do("enter a Landlock domain", unix.SYS_LANDLOCK_RESTRICT_SELF, Ref("<landlock>"), 0)
	}
	b.seccomp(h.Filters)
	if !nnp {
		b.capset("set the final capabilities", c.Permitted, c.Permitted, 0)
	}
	b.exec(p, h.ExecByFD)
	return nil
}

// attribute has the program confined by a profile or label from its first instruction on. It is asked for before Landlock and
// the filters could keep it away (T16), and of a procfs that the engine has mounted for itself: no container could put
// anything in its place (CVE-2025-52881). Only the process itself may write there.
func (b *builder) attribute(kind, file, name, word string) {
	if name == "" || name == "unconfined" {
		return
	}
	b.open("open the attribute of the "+kind, Ref("<proc>"), file, unix.O_WRONLY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_MAGICLINKS).To("attr")
	b.do("ask for the "+kind+" "+name, unix.SYS_WRITE, Ref("attr"), word, len(word))
}

// ids takes the process's own ids and gives up capabilities for good.
func (b *builder) ids(p *wire.Process, lastCap int) {
	// What is not in the bounding set cannot come back by any execve.
	b.bound(p.Capabilities.Bounding, lastCap)
	// Until capset sets exactly what was asked for.
	b.do("keep capabilities over the change of ids", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	u := p.User
	b.become("the program", u.UID, u.GID, u.Groups...) // numbers inside the sandbox's range
	if u.Umask != nil {
		b.do("set the umask", unix.SYS_UMASK, int(*u.Umask))
	}
}

// bound drops what is not in the mask from the bounding set.
func (b *builder) bound(mask uint64, lastCap int) {
	for c := 0; c <= lastCap; c++ {
		if mask&(1<<c) == 0 {
			b.do("drop a capability from the bounding set", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
		}
	}
}

func (b *builder) capset(what string, effective, permitted, inheritable uint64) {
	b.do(what, unix.SYS_CAPSET, []uint32{unix.LINUX_CAPABILITY_VERSION_3, 0},
		[]uint32{uint32(effective), uint32(permitted), uint32(inheritable),
			uint32(effective >> 32), uint32(permitted >> 32), uint32(inheritable >> 32)})
}

// seccomp loads filters. SPEC_ALLOW: without it kernels before 5.16 slow down every process with a filter (T16).
func (b *builder) seccomp(filters []Filter) {
	// System calls that no ordinary program needs do not reach the kernel; filters stack, each can only take away.
	for _, f := range filters {
		// With a listener the result is a descriptor. What follows may be for it to allow, execve too: it is there before.
		b.do("load the "+f.Name+" filter", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			int(f.Flags|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW), f).Kind = clone.Offer
	}
}
