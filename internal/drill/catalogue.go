package drill

// Class is one of the survey's seven attacks.
type Class string

// The seven, in the survey's order.
const (
	A1 Class = "A1"
	A2 Class = "A2"
	A3 Class = "A3"
	A4 Class = "A4"
	A5 Class = "A5"
	A6 Class = "A6"
	A7 Class = "A7"
)

// Classes lists the attacks with the names that the table prints.
func Classes() []struct {
	Class Class
	Name  string
} {
	return []struct {
		Class Class
		Name  string
	}{
		{A1, "kernel surface"}, {A2, "starving neighbours"}, {A3, "breakout"}, {A4, "poisoned image"},
		{A5, "neighbour's secret"}, {A6, "man in the middle"}, {A7, "spoofing"},
	}
}

// Need is what a probe asks of the machine beside an engine.
type Need int

const (
	// NeedRoot: the drill runs as root of the host, because it plants a disk or enters a network namespace.
	NeedRoot Need = 1 << iota
	// NeedNeighbour: a second container.
	NeedNeighbour
	// NeedWorld: a network beyond the host, which the drill plants.
	NeedWorld
	// NeedDisk: a loop device with a token, which the drill plants.
	NeedDisk
	// NeedPort: a service of the host on all its addresses, which the drill plants.
	NeedPort
	// NeedOutside: it sends packets to an address that is not the drill's; only run when asked for.
	NeedOutside
)

// Probe is one technique.
type Probe struct {
	ID        string
	Class     Class
	Technique string // a sentence for people, at most 47 characters: it fits a terminal of 80 beside the verdict
	Needs     Need
	CVE       string // the best known case, "" if it has no number
	// Headline marks the probe whose detail the class's line shows while nothing is exposed.
	Headline bool

	try func(*run) Verdict
}

// Catalogue is every probe, in the order in which they run: quiet ones first, the hogs last, so that nothing is
// measured in the wake of a fork bomb.
func Catalogue() []Probe {
	return []Probe{
		{"system-calls", A1, "ask the kernel for what no container needs", 0, "CVE-2022-0185", true, inside()},
		{"call-sweep", A1, "make every system call that there is, by number", 0, "", false, inside()},
		{"socket-families", A1, "open every kind of socket that the kernel has", 0, "CVE-2021-26708", false, inside()},
		{"abi-32", A1, "call the kernel through its old 32-bit entrance", 0, "", false, inside()},
		{"new-namespaces", A1, "become root of a new user namespace", 0, "CVE-2022-0185", false, inside()},
		{"netlink-protocols", A1, "use netfilter, xfrm, audit and other netlink", 0, "CVE-2024-1086", false, inside()},
		{"kernel-files", A1, "read kernel memory, logs and firmware tables", 0, "", false, inside()},
		{"other-user", A1, "trace and rob a process of another user", 0, "", false, inside()},
		{"terminal-input", A1, "type into a terminal as if at its keyboard", 0, "CVE-2017-5226", false, inside()},
		{"page-cache", A1, "change a neighbour's program in its memory", NeedNeighbour, "CVE-2022-0847", false, tryPageCache},
		{"capabilities", A3, "look for rights that amount to root of the host", 0, "", false, inside()},
		{"host-identity", A3, "be root of the host as well as of the container", NeedRoot, "", false, tryIdentity},
		{"open-by-handle", A3, "open host files by number, not path (shocker)", NeedRoot, "", true, tryHandle},
		{"host-paths", A3, "reach a host file by links, open files and ../", 0, "CVE-2024-21626", false, tryHostPaths},
		{"kernel-knobs", A3, "open the kernel's switches in /proc and /sys", 0, "CVE-2022-0492", false, inside()},
		{"mknod-disk", A3, "make a device file for a disk of the host", NeedRoot | NeedDisk, "", false, tryMknod},
		{"mount-afresh", A3, "mount /proc, /sys and control groups anew", 0, "CVE-2022-0492", false, inside()},
		{"mount-shared", A3, "make a mount that shows on the host", 0, "", false, tryShared},
		{"processes", A3, "see and signal processes of others", NeedNeighbour, "", false, tryProcesses},
		{"inherited-rights", A3, "have capabilities and groups of the engine", 0, "CVE-2022-24769", false, tryInherited},
		{"self-exe", A3, "have the engine's program as the container's", 0, "CVE-2019-5736", false, trySelfExe},
		{"exec-joiner", A3, "open the engine's program while it enters", 0, "CVE-2019-5736", false, tryJoiner},
		{"setuid-program", A3, "become root by a set-user-id program", 0, "", false, trySetuid},
		{"user-number", A3, "be user 1000 where that is a name of root", 0, "CVE-2016-3697", false, tryUserNumber},
		{"workdir-descriptor", A3, "start in a directory that the engine has open", 0, "CVE-2024-21626", false, tryWorkdir},
		{"linked-directories", A3, "have /etc, /dev, /proc or /sys lead to the host", 0, "CVE-2019-19921", false,
			tryLinkedDirectories},
		{"volume-link", A3, "declare a volume on a link to the host", 0, "CVE-2022-23648", false, tryVolumeLink},
		{"masked-paths", A3, "have /dev/null and /dev/console lead elsewhere", 0, "CVE-2025-31133", false, tryMaskedPaths},
		{"volume-race", A3, "exchange a mount's place while it is mounted", 0, "CVE-2021-30465", false, tryVolumeRace},
		{"proc-volume", A3, "have the engine write to a false /proc", 0, "CVE-2025-52881", false, tryProcVolume},
		{"copy-race", A3, "exchange a directory while files are copied", 0, "CVE-2018-15664", false, tryCopyRace},
		{"copy-trojan", A3, "be the program that unpacks a copy", 0, "CVE-2019-14271", false, tryCopyTrojan},
		{"sysctl-names", A3, "set a switch of the whole machine by a sysctl", 0, "CVE-2022-0811", false, trySysctls},
		{"image-labels", A3, "have an image's labels and variables act", 0, "CVE-2026-53488", false, tryImageLabels},
		{"image-config", A3, "be root by an image's odd user or directory", 0, "", false, tryImageConfig},
		{"exec-stopped", A3, "stop the programs that the engine sends in", 0, "", false, tryExecStopped},
		{"path-spellings", A3, "get a host directory by other spellings", NeedRoot, "CVE-2026-6406", false, trySpellings},
		{"layer-digest", A4, "load an image with a layer that was changed", 0, "CVE-2014-8178", true, tryDigest},
		{"escaping-entries", A4, "load a layer whose entries lead out of it", 0, "CVE-2014-6407", false, tryEscape},
		{"disk-in-image", A4, "load a layer with a device file of a disk", NeedRoot | NeedDisk, "", false,
			tryDiskInImage},
		{"pulled-bytes", A4, "serve other bytes than the digests say", 0, "CVE-2014-8179", false, tryPulledBytes},
		{"foreign-layer", A4, "have a layer fetched from a service of the host", 0, "CVE-2020-15157", false, tryForeignLayer},
		{"secrets", A5, "search for a neighbour's secret", NeedNeighbour, "", true, trySecrets},
		{"leftovers", A5, "search for what a removed container left", 0, "", false, tryLeftovers},
		{"core-dump", A5, "crash, so that the host keeps the memory", 0, "CVE-2022-28658", false, tryCoreDump},
		{"metadata", A5, "ask the cloud's metadata service", NeedOutside, "", false, inside()},
		{"credentials-redirect", A5, "send a pull's password on to another host", 0, "CVE-2024-45336", false,
			tryCredentials},
		{"registry-plain-http", A6, "have a pull fall back to plain HTTP", NeedRoot | NeedWorld, "CVE-2014-5277", false,
			tryPlainHTTP},
		{"registry-certificate", A6, "be a registry with a certificate of one's own", NeedRoot | NeedWorld, "CVE-2019-10214",
			false, tryCertificate},
		{"reach-neighbour", A6, "connect to a neighbour's port", NeedNeighbour, "", true, tryNeighbour},
		{"reach-host", A6, "connect to the host's own services and API", NeedRoot | NeedPort | NeedNeighbour, "CVE-2025-9074",
			false, tryHost},
		{"engine-sockets", A6, "connect to an engine's control socket", 0, "CVE-2020-15257", false, trySockets},
		{"sniff", A6, "read a neighbour's packets", NeedNeighbour, "", false, trySniff},
		{"sniff-door", A6, "read a neighbour's packets with root's powers", NeedNeighbour | NeedRoot, "", false, trySniffDoor},
		{"lan-neighbour", A6, "connect to a container from the host's network", NeedRoot | NeedWorld | NeedNeighbour,
			"CVE-2020-8558", false, tryLAN},
		{"raw-sockets", A7, "open sockets that write whole packets by hand", 0, "CVE-2020-14386", false, inside()},
		{"forge", A7, "send packets with a forged sender", NeedRoot | NeedWorld | NeedNeighbour, "", false, tryForge},
		{"forge-door", A7, "forge a sender with root's powers", NeedRoot | NeedWorld | NeedNeighbour, "", true, tryForgeDoor},
		{"arp-claim-door", A7, "claim the gateway's address with root's powers", NeedRoot | NeedNeighbour, "", false,
			tryARPDoor},
		{"inotify-hog", A2, "take every inotify instance", NeedNeighbour, "", false, beside(tryInotify)},
		{"epoll-hog", A2, "have the kernel watch until memory ends", NeedNeighbour, "", false, beside(charged(manyWatches))},
		{"file-hog", A2, "open files until no memory is left for them", NeedNeighbour, "", false, beside(charged(manyFiles))},
		{"dentry-hog", A2, "have the kernel remember names without end", NeedNeighbour, "", false, beside(tryDentries)},
		{"argument-hog", A2, "start programs with huge arguments", NeedNeighbour, "", false,
			beside(charged(manyPrograms, argumentSize))},
		{"page-cache-hog", A2, "push others' files out of the page cache", NeedNeighbour, "", false,
			beside(charged(cachedFile))},
		{"mqueue-hog", A2, "take all queues, semaphores, shared memory", NeedNeighbour, "", false, beside(tryQueues)},
		{"key-hog", A2, "take every key of a user of the machine", NeedNeighbour, "", false, beside(tryKeys)},
		{"pty-hog", A2, "take every pseudo-terminal of the machine", NeedNeighbour, "", false, beside(tryTerminals)},
		{"huge-pages", A2, "take the huge pages that were set aside", NeedNeighbour, "", false, beside(tryHugePages)},
		{"shm-hog", A2, "fill shared memory and what else is in memory", NeedNeighbour, "", false,
			beside(inside("536870912"))},
		{"disk-hog", A2, "fill the disk from the root and /tmp", NeedNeighbour, "", false, beside(tryDisk)},
		{"volume-hog", A2, "fill the disk from a volume", NeedNeighbour, "", false, beside(tryVolume)},
		{"engine-files-hog", A2, "fill the disk from /etc/hosts and its like", NeedNeighbour, "", false,
			beside(tryEngineFiles)},
		{"inode-hog", A2, "make files until there are no inodes", NeedNeighbour, "", false, beside(tryInodes)},
		{"io-hog", A2, "keep the disk busy", NeedNeighbour, "", false, beside(tryIO)},
		{"connection-hog", A2, "fill the machine's table of connections", NeedNeighbour | NeedWorld | NeedRoot, "", false,
			beside(tryConnections)},
		{"packet-flood", A2, "flood the network and name services", NeedNeighbour | NeedWorld | NeedRoot, "", false,
			beside(tryPacketFlood)},
		{"log-flood", A2, "print without end, to fill the disk with logs", NeedNeighbour | NeedRoot, "", false, tryLogFlood},
		{"deaf-client", A2, "follow a container's output and never read it", NeedNeighbour | NeedRoot, "", false,
			besideDoor(tryDeafClient)},
		{"api-flood", A2, "have hundreds of API requests under way", NeedNeighbour | NeedRoot, "", false,
			besideDoor(tryAPIFlood)},
		{"exec-flood", A2, "execute programs without end in one container", NeedNeighbour, "", false, tryExecFlood},
		{"memory-hog", A2, "take the machine's memory", NeedNeighbour | NeedRoot, "", false, tryMemory},
		{"cpu-hog", A2, "compute on all processors, in real time", NeedNeighbour, "", false, tryCPU},
		{"engine-cpu", A2, "compute until the engine has no turn", NeedNeighbour | NeedRoot, "", false, beside(tryEngineCPU)},
		{"thread-bomb", A2, "make threads without end", NeedNeighbour, "", false, tryCrowd},
		{"zombie-flood", A2, "leave dead processes without end", NeedNeighbour, "", false, tryCrowd},
		{"fork-bomb", A2, "fork without end", NeedNeighbour, "", true, tryCrowd},
	}
}
