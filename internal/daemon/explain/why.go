package explain

import "strings"

// reason says why operations are there whose call is named so, or "" for any, and whose What is so, or begins so if what ends
// in a space; and which attacks that answers, in words. Where package plan makes them comments say the same in code; here it
// is said to people.
type reason struct{ call, what, why, answers string }

// reasons are looked through in this order.
var reasons = []reason{
	// What every process of a plan begins with.
	{"", "become unreadable again", "A change of ids can make a process readable again (T13).", "A3"},
	{"", "become unreadable", "Until execve this process is a copy of the warden: nobody may read its memory or follow its /proc/PID/exe (T13).", "A3"},
	{"", "enter a cgroup", "A single-threaded process that writes 0 to an inherited tasks file does not wait for a grace period; cgroup v2 is entered by clone3.", "A2"},
	{"", "enter the sandbox's user namespace", "All that follows happens with ids that mean nobody on the host.", "A3"},
	{"", "enter the sandbox's network namespace", "It was made, and its endpoint prepared, before it was needed.", "A6 A7"},
	{"", "take the group ids of the sandbox's root", "The ids of the sandbox's root, before a process exists that the container could see (T13).", "A3"},
	{"", "enter the container's namespaces", "All of them in one call, of the process that the descriptor names and no other that got its pid.", "A3"},
	{"", "take the group ids of the container's root", "Ids before the process that the container can see: its root must not own the engine's copy (T13).", "A3"},
	{"", "enter the container's file systems", "What the container sees, of the process that the descriptor names; no mount is made (CVE-2026-41568, CVE-2026-42306), and its process namespace stays closed.", "A3"},
	{"", "enter the worker's user namespace", "One id of the host, and no other, exists in it.", "A4"},
	{"", "take the group ids of the worker", "The one id of that namespace, before a process exists in it (T13).", "A3"},
	{"", "enter the root directory", "Not the directory that the engine was started in.", ""},
	{"", "make process 1 of the container", "Stage 1 is process 1 of its own process, mount, IPC and UTS namespaces, and the warden's child (CLONE_PARENT).", "A3"},
	{"", "make a process of the container", "Only a new process is in the process namespace; it is the warden's child (CLONE_PARENT).", "A3"},
	{"", "make process 1 of its namespace", "A worker sees no process, mount, queue or name of the host, and no interface.", "A4"},
	{"", "leave the host's view of cgroups", "After the cgroup was entered: the namespace's root is the process's own cgroup, siblings are invisible (T14).", "A3"},
	{"", "start a session", "The process has no terminal and no process group of the engine.", "A3"},
	{"", "join a keyring", "A new, empty session keyring: keys of the engine are not the container's (T15).", "A5"},

	// The file system.
	{"", "make mounts private", "Nothing that happens here reaches the host's mounts.", "A3"},
	{"", "park ", "Parts of a mount can be bound only while it is attached in this namespace; under the old root it goes with it.", ""},
	{"", "make tmpfs", "A new tmpfs of the container's own namespaces, made by a process in them.", "A3"},
	{"", "take /dev", "Six harmless devices, on a small file system that the engine has made for this container.", "A3"},
	{"", "make proc", "A new proc of the container's own namespaces, made by a process in them.", "A3"},
	{"", "enter mqueue", "What a user namespace mounts is given no SELinux label as a whole, but its root can have one.", "A1"},
	{"", "label mqueue", "What a user namespace mounts is given no SELinux label as a whole, but its root can have one.", "A1"},
	{"", "make mqueue", "A new mqueue of the container's own namespaces, made by a process in them.", "A3"},
	{"", "make sysfs", "A new sysfs of the container's own namespaces, made by a process in them.", "A3"},
	{"", "mount the root", "The root file system was mounted without a path; it becomes one here, over the old root.", "A3"},
	{"", "restrict the clone to reading", "The root file system by itself, for reading: what is mounted on it is no part of it.", "A3"},
	{"", "restrict the changes to reading", "The root file system by itself, for reading: what is mounted on it is no part of it.", "A3"},
	{"", "clone the root", "The root file system by itself, for reading: what is mounted on it is no part of it.", "A3"},
	{"", "restrict ", "Set-user-id bits and device nodes are dead here, whatever the source says.", "A3"},
	{"", "open the mount point /proc", "No symbolic link is followed: the image cannot say where /proc is.", "A3"},
	{"", "open the mount point /dev", "No symbolic link is followed: the image cannot say where /dev is.", "A3"},
	{"", "open the mount point pts", "No symbolic link is followed: the image cannot say where pts is.", "A3"},
	{"", "open the mount point shm", "No symbolic link is followed: the image cannot say where shm is.", "A3"},
	{"", "open the mount point mqueue", "No symbolic link is followed: the image cannot say where mqueue is.", "A3"},
	{"", "open the mount point /sys", "No symbolic link is followed: the image cannot say where /sys is.", "A3"},
	{"", "open the mount point ", "Links of the image are followed inside the root only (CVE-2021-30465); what is missing is made with the container's ids.", "A3"},
	{"", "bind ", "A file of the engine, on a file system of 128 KiB (A2).", "A2"},
	{"", "mount ", "From descriptor to descriptor: no path, no race.", "A3"},
	{"", "clone the terminal", "The container's terminal is one of its own devpts; it is bound by descriptor (CVE-2025-52565).", "A3"},
	{"", "set sysctl ", "Written through the container's own fresh proc, before /proc/sys becomes read-only (CVE-2025-52881).", "A3"},
	{"", "hide ", "What procfs and sysfs tell about the host is covered: files by our own null device, directories by an empty one that is read-only.", "A1"},
	{"", "protect ", "Switches of procfs can be read, not set.", "A3"},
	{"", "enter the root", "The root becomes the root; the host's tree is not covered but gone.", "A3"},
	{"", "drop the host's mounts", "The root becomes the root; the host's tree is not covered but gone.", "A3"},

	// The process.
	{"", "set the hostname", "Names live in the container's own UTS namespace.", ""},
	{"", "set the domain name", "Names live in the container's own UTS namespace.", ""},
	{"", "open the attribute of the AppArmor profile", "Of a procfs of the engine's own: nothing of a container can be in its place (CVE-2025-52881).", "A1 A3"},
	{"", "open the attribute of the SELinux label", "Of a procfs of the engine's own: nothing of a container can be in its place (CVE-2025-52881).", "A1 A3"},
	{"", "ask for the ", "The program has it from its first instruction on; it is asked for before Landlock and the filters could keep it away (T16).", "A1 A3"},
	{"", "open the root", "After setns the root is the container's.", "A3"},
	{"", "enter the working directory ", "The working directory is resolved inside the root; magic links are refused (CVE-2024-21626).", "A3"},
	{"", "place stdin", "Standard input, output and error belong to the process's user (T19).", ""},
	{"", "place the terminal", "Standard input, output and error belong to the process's user (T19).", ""},
	{"", "take the terminal", "The session's controlling terminal.", ""},
	{"", "drop a capability from the bounding set", "What is not in the bounding set cannot come back by any execve.", "A1 A3"},
	{"", "keep capabilities over the change of ids", "Until capset sets exactly what was asked for.", ""},
	{"", "take the group ids of the program", "Ids and groups of the program, numbers inside the sandbox's range.", "A3"},
	{"", "take the group ids of the service", "An id that owns nothing but this process's own files.", "A3"},
	{"", "set the capabilities of the search", "Effective as at the end, so that the program is searched with the rights of its user; the rest is permitted until the filters are loaded.", "A1 A3"},
	{"", "set the capabilities that load filters", "Loading filters without no_new_privs needs CAP_SYS_ADMIN here.", "A1 A3"},
	{"", "set the final capabilities", "The final capability sets.", "A1 A3"},
	{"", "make inheritable what is to be ambient", "What is to be ambient becomes inheritable while the bounding set holds it; the others are for the steps to come.", "A3"},
	{"", "give capabilities up", "What is left: nothing, except for what fills a volume.", "A4"},
	{"", "set the capabilities of the service", "What is left: what the process starts with.", "A1 A3"},
	{"", "raise an ambient capability", "Kept by a program of a user other than root.", ""},
	{"", "move a descriptor aside", "The program finds exactly the descriptors that it was given, at 3, 4, …", ""},
	{"fail", "find program ", "None of the names is a program: the error is the one a shell would give.", "A3"},
	{"", "find program ", "The program is opened inside the root, with its user's rights; what resolves into procfs is refused (CVE-2019-5736).", "A3"},
	{"", "unblock signals", "Signals arrive from here on.", ""},
	{"", "let timers be late", "The Go runtime's watchman wakes every 20 µs while the program runs: 1 ms later does as well.", ""},
	{"", "raise the limit ", "What takes a capability of the host: it is gone when the limit is set.", "A2"},
	{"", "open oom_score_adj", "How soon the kernel ends the program when memory is short: the engine's own score is better than the default.", "A2"},
	{"", "set the limit ", "The limits of the program, which did not hold up what comes before.", "A2"},
	{"", "wait at the gate", "Gate: the warden lets it go on when its endpoint is live, and guarded.", "A6 A7"},
	{"", "set no_new_privs", "No program gains privileges by its file's mode or capabilities.", "A3"},
	{"", "enter a Landlock domain", "No process inside can trace one outside, mount, or make device nodes, even if the filter had a hole.", "A1 A3"},
	{"", "close the file system by a Landlock domain", "The file system is closed to it, except what the ruleset names.", "A4"},
	{"", "load the ", "System calls that no ordinary program needs do not reach the kernel; filters stack, each can only take away.", "A1"},
	{"", "execute init for ", "Process 1 is the engine's init, from a sealed file in memory. It has all of the confinement; it executes the program that was found and waits for every orphan.", "A3"},
	{"", "execute the engine's own ", "The engine's own program, from a sealed copy in memory.", "A3"},
	{"execveat", "execute ", "What was found is what is executed: by descriptor. A script's interpreter cannot read a close-on-exec descriptor (ENOENT), it gets the path.", "A3"},
	{"execve", "execute ", "The path that was found, inside the root.", "A3"},
}

// why is the reason of an operation, or none for one that only goes on with what the one before it began.
func why(op *Op) (r reason) {
	for _, r := range reasons {
		if (r.call == "" || r.call == callOf(op).name) &&
			(op.What == r.what || strings.HasSuffix(r.what, " ") && strings.HasPrefix(op.What, r.what)) {
			return r
		}
	}
	return r
}
