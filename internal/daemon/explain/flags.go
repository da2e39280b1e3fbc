package explain

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

type named struct {
	value uint64
	name  string
}

// mask writes a bit mask with names, in the order of the table.
func mask(v uint64, table []named) string {
	var out []string
	for _, n := range table {
		if v&n.value == n.value && n.value != 0 {
			out = append(out, n.name)
			v &^= n.value
		}
	}
	if v != 0 || len(out) == 0 {
		out = append(out, fmt.Sprintf("%#x", v))
	}
	return strings.Join(out, "|")
}

func spell(table []named) func(any) string {
	return func(a any) string {
		if n, ok := a.(int); ok {
			return mask(uint64(n), table)
		}
		return plain(a)
	}
}

// openHow is a struct open_how. O_CLOEXEC is always there and not written.
func openHow(a any) string {
	h, ok := a.([]uint64)
	if !ok || len(h) != 3 {
		return plain(a)
	}
	text := mask(h[0]&^unix.O_CLOEXEC, openFlags) + ", " + mask(h[2], resolveFlags)
	if h[1] != 0 {
		text += fmt.Sprintf(", %#o", h[1])
	}
	return "{" + text + "}"
}

// mountAttr is a struct mount_attr: attributes to set, to clear, the propagation, a user namespace.
func mountAttr(a any) string {
	w, ok := a.([]uint64)
	switch {
	case !ok || len(w) != 4:
		return plain(a)
	case w[0] == 0 && w[1] == 0 && w[2] == unix.MS_PRIVATE && w[3] == 0:
		return "{MS_PRIVATE}"
	case w[1] == 0 && w[2] == 0 && w[3] == 0:
		return "{" + mask(w[0], mountFlags) + "}"
	}
	return plain(a)
}

func forkFlags(a any) string {
	flags, ok := a.(ForkArgs)
	if !ok {
		return plain(a)
	}
	return "{" + mask(uint64(flags)|unix.CLONE_PARENT, cloneFlags) + "}"
}

var (
	openFlags = []named{{unix.O_PATH, "O_PATH"}, {unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_RDWR, "O_RDWR"},
		{unix.O_WRONLY, "O_WRONLY"}, {unix.O_CREAT, "O_CREAT"}, {unix.O_EXCL, "O_EXCL"}, {unix.O_NOFOLLOW, "O_NOFOLLOW"}}
	resolveFlags = []named{{unix.RESOLVE_IN_ROOT, "IN_ROOT"}, {unix.RESOLVE_BENEATH, "BENEATH"},
		{unix.RESOLVE_NO_SYMLINKS, "NO_SYMLINKS"}, {unix.RESOLVE_NO_MAGICLINKS, "NO_MAGICLINKS"},
		{unix.RESOLVE_NO_XDEV, "NO_XDEV"}}
	mountFlags = []named{{unix.MOUNT_ATTR_RDONLY, "RDONLY"}, {unix.MOUNT_ATTR_NOSUID, "NOSUID"},
		{unix.MOUNT_ATTR_NODEV, "NODEV"}, {unix.MOUNT_ATTR_NOEXEC, "NOEXEC"}}
	cloneFlags = []named{{unix.CLONE_PARENT, "CLONE_PARENT"}, {unix.CLONE_NEWUSER, "CLONE_NEWUSER"},
		{unix.CLONE_NEWPID, "CLONE_NEWPID"}, {unix.CLONE_NEWNS, "CLONE_NEWNS"}, {unix.CLONE_NEWIPC, "CLONE_NEWIPC"},
		{unix.CLONE_NEWUTS, "CLONE_NEWUTS"}, {unix.CLONE_NEWNET, "CLONE_NEWNET"},
		{unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}}
	atFlags = []named{{unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"}, {unix.AT_RECURSIVE, "AT_RECURSIVE"},
		{unix.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"}, {unix.AT_EACCESS, "AT_EACCESS"}}
	treeFlags   = []named{{unix.OPEN_TREE_CLONE, "CLONE"}, {unix.OPEN_TREE_CLOEXEC, "CLOEXEC"}}
	moveFlags   = []named{{unix.MOVE_MOUNT_F_EMPTY_PATH, "F_EMPTY_PATH"}, {unix.MOVE_MOUNT_T_EMPTY_PATH, "T_EMPTY_PATH"}}
	filterFlags = []named{{unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, "SPEC_ALLOW"}, {unix.SECCOMP_FILTER_FLAG_LOG, "LOG"},
		{unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, "NEW_LISTENER"}}

	ioctls = map[int]string{unix.TIOCSCTTY: "TIOCSCTTY", unix.TIOCSPTLCK: "TIOCSPTLCK", unix.TIOCGPTPEER: "TIOCGPTPEER",
		unix.TIOCSWINSZ: "TIOCSWINSZ"}
	fsconfigCommands = map[int]string{unix.FSCONFIG_SET_FLAG: "SET_FLAG", unix.FSCONFIG_SET_STRING: "SET_STRING", unix.FSCONFIG_CMD_CREATE: "CMD_CREATE"}
	limits           = map[int]string{unix.RLIMIT_CPU: "CPU", unix.RLIMIT_FSIZE: "FSIZE", unix.RLIMIT_DATA: "DATA", unix.RLIMIT_STACK: "STACK",
		unix.RLIMIT_CORE: "CORE", unix.RLIMIT_RSS: "RSS", unix.RLIMIT_NPROC: "NPROC", unix.RLIMIT_NOFILE: "NOFILE",
		unix.RLIMIT_MEMLOCK: "MEMLOCK", unix.RLIMIT_AS: "AS", unix.RLIMIT_LOCKS: "LOCKS", unix.RLIMIT_SIGPENDING: "SIGPENDING",
		unix.RLIMIT_MSGQUEUE: "MSGQUEUE", unix.RLIMIT_NICE: "NICE", unix.RLIMIT_RTPRIO: "RTPRIO", unix.RLIMIT_RTTIME: "RTTIME"}
	prctls = map[int]string{unix.PR_CAPBSET_DROP: "PR_CAPBSET_DROP", unix.PR_SET_DUMPABLE: "PR_SET_DUMPABLE", unix.PR_SET_KEEPCAPS: "PR_SET_KEEPCAPS",
		unix.PR_SET_NO_NEW_PRIVS: "PR_SET_NO_NEW_PRIVS", unix.PR_CAP_AMBIENT: "PR_CAP_AMBIENT"}
)
