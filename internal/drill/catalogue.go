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
	Technique string // a sentence for people
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
		{"system-calls", A1, "ask for 28 dangerous system calls", 0, "CVE-2022-0185", true, inside()},
		{"socket-families", A1, "open every socket family", 0, "CVE-2021-26708", false, inside()},
		{"abi-32", A1, "enter the kernel through int 0x80", 0, "", false, inside()},
		{"new-namespaces", A1, "make user namespaces by unshare, clone and clone3", 0, "CVE-2022-0185", false, inside()},
		{"netlink-protocols", A1, "use netfilter, xfrm, audit and other netlink", 0, "CVE-2024-1086", false, inside()},
		{"kernel-files", A1, "read kernel memory, logs and firmware tables", 0, "", false, inside()},
		{"capabilities", A3, "look for capabilities that amount to the host", 0, "", false, inside()},
		{"host-identity", A3, "be root of the host as well as of the container", NeedRoot, "", false, tryIdentity},
		{"open-by-handle", A3, "open the host's files by handle (shocker)", NeedRoot, "CVE-2014-6407", true, tryHandle},
		{"host-paths", A3, "reach a host file by links, descriptors and dots", 0, "CVE-2024-21626", false, tryHostPaths},
		{"kernel-knobs", A3, "open core_pattern, release_agent, sysrq for writing", 0, "CVE-2022-0492", false, inside()},
		{"mknod-disk", A3, "make a node for a disk of the host", NeedRoot | NeedDisk, "", false, tryMknod},
		{"exec-joiner", A3, "open the engine's program while it joins", 0, "CVE-2019-5736", false, tryJoiner},
		{"setuid-program", A3, "become root by a set-user-id program of the image", 0, "", false, trySetuid},
		{"user-number", A3, "be user 1000 where that is a name of root", 0, "CVE-2016-3697", false, tryUserNumber},
		{"workdir-descriptor", A3, "start in a directory that the engine has open", 0, "CVE-2024-21626", false, tryWorkdir},
		{"linked-directories", A3, "have /etc, /dev, /proc or /sys lead to the host", 0, "CVE-2019-19921", false,
			tryLinkedDirectories},
		{"volume-link", A3, "declare a volume on a link to the host", 0, "CVE-2022-23648", false, tryVolumeLink},
		{"layer-digest", A4, "load an image whose layer has another digest", 0, "CVE-2014-9356", true, tryDigest},
		{"escaping-entries", A4, "load a layer with dots, links and absolute names", 0, "CVE-2018-15664", false, tryEscape},
		{"disk-in-image", A4, "load a layer with a device node of a host's disk", NeedRoot | NeedDisk, "", false,
			tryDiskInImage},
		{"secrets", A5, "search for a neighbour's secret", NeedNeighbour, "CVE-2020-15257", true, trySecrets},
		{"leftovers", A5, "search for what a removed container left", 0, "", false, tryLeftovers},
		{"core-dump", A5, "crash, so that the host keeps the memory", 0, "CVE-2022-28658", false, tryCoreDump},
		{"metadata", A5, "ask the cloud's metadata service", NeedOutside, "", false, inside()},
		{"reach-neighbour", A6, "connect to a neighbour's port", NeedNeighbour, "", true, tryNeighbour},
		{"reach-host", A6, "connect to the host's own services and API", NeedRoot | NeedPort | NeedNeighbour, "CVE-2025-9074",
			false, tryHost},
		{"engine-sockets", A6, "connect to a control socket", 0, "CVE-2020-15257", false, trySockets},
		{"sniff", A6, "read a neighbour's packets", NeedNeighbour, "", false, trySniff},
		{"sniff-door", A6, "read a neighbour's packets with every capability", NeedNeighbour | NeedRoot, "", false, trySniffDoor},
		{"lan-neighbour", A6, "connect to a container from the host's network", NeedRoot | NeedWorld | NeedNeighbour,
			"CVE-2020-8558", false, tryLAN},
		{"raw-sockets", A7, "open packet and raw sockets", 0, "CVE-2020-14386", false, inside()},
		{"forge", A7, "send packets with a forged sender", NeedRoot | NeedWorld | NeedNeighbour, "", false, tryForge},
		{"forge-door", A7, "forge a sender with every capability", NeedRoot | NeedWorld | NeedNeighbour, "", true, tryForgeDoor},
		{"arp-claim-door", A7, "claim the gateway's address, with every capability", NeedRoot | NeedNeighbour, "", false,
			tryARPDoor},
		{"inotify-hog", A2, "take every inotify instance", NeedNeighbour, "", false, tryInotify},
		{"mqueue-hog", A2, "take every message queue and shared memory id", NeedNeighbour, "", false, tryQueues},
		{"pty-hog", A2, "take every pseudo-terminal of the machine", NeedNeighbour, "", false, tryTerminals},
		{"shm-hog", A2, "fill shared memory", 0, "", false, inside("536870912")},
		{"memory-hog", A2, "take the machine's memory", NeedNeighbour | NeedRoot, "", false, tryMemory},
		{"cpu-hog", A2, "spin on every core, in real time if allowed", NeedNeighbour, "", false, tryCPU},
		{"fork-bomb", A2, "fork without end", NeedNeighbour, "", true, tryForkBomb},
	}
}
