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
		{"kernel-files", A1, "read kernel memory, logs and firmware tables", 0, "", false, inside()},
		{"capabilities", A3, "look for capabilities that amount to the host", 0, "", false, inside()},
		{"host-identity", A3, "be root of the host as well as of the container", NeedRoot, "", false, tryIdentity},
		{"open-by-handle", A3, "open the host's files by handle (shocker)", NeedRoot, "CVE-2014-6407", true, tryHandle},
		{"host-paths", A3, "reach a host file by links, descriptors and dots", 0, "CVE-2024-21626", false, tryHostPaths},
		{"kernel-knobs", A3, "open core_pattern, release_agent, sysrq for writing", 0, "CVE-2022-0492", false, inside()},
		{"mknod-disk", A3, "make a node for a disk of the host", NeedRoot | NeedDisk, "", false, tryMknod},
		{"exec-joiner", A3, "open the engine's program while it joins", 0, "CVE-2019-5736", false, tryJoiner},
		{"layer-digest", A4, "load an image whose layer has another digest", 0, "CVE-2014-9356", true, tryDigest},
		{"escaping-entries", A4, "load a layer with dots, links and absolute names", 0, "CVE-2018-15664", false, tryEscape},
		{"disk-in-image", A4, "load a layer with a device node of a host's disk", NeedRoot | NeedDisk, "", false,
			tryDiskInImage},
		{"pulled-bytes", A4, "serve other bytes than the digests of a pull say", 0, "CVE-2014-8179", false, tryPulledBytes},
		{"foreign-layer", A4, "have a layer fetched from a service of the host", 0, "CVE-2020-15157", false, tryForeignLayer},
		{"secrets", A5, "search for a neighbour's secret", NeedNeighbour, "CVE-2020-15257", true, trySecrets},
		{"metadata", A5, "ask the cloud's metadata service", NeedOutside, "", false, inside()},
		{"credentials-redirect", A5, "redirect a pull with credentials to another host", 0, "CVE-2024-45336", false,
			tryCredentials},
		{"registry-plain-http", A6, "have a pull fall back to plain HTTP", NeedRoot | NeedWorld, "CVE-2014-5277", false,
			tryPlainHTTP},
		{"registry-certificate", A6, "be a registry with a certificate of one's own", NeedRoot | NeedWorld, "CVE-2019-10214",
			false, tryCertificate},
		{"reach-neighbour", A6, "connect to a neighbour's port", NeedNeighbour, "", true, tryNeighbour},
		{"reach-host", A6, "connect to the host's own services and API", NeedRoot | NeedPort | NeedNeighbour, "CVE-2025-9074",
			false, tryHost},
		{"engine-sockets", A6, "connect to a control socket", 0, "CVE-2020-15257", false, trySockets},
		{"sniff", A6, "read a neighbour's packets", NeedNeighbour, "", false, trySniff},
		{"sniff-door", A6, "read a neighbour's packets with every capability", NeedNeighbour | NeedRoot, "", false, trySniffDoor},
		{"raw-sockets", A7, "open packet and raw sockets", 0, "CVE-2020-14386", false, inside()},
		{"forge", A7, "send packets with a forged sender", NeedRoot | NeedWorld | NeedNeighbour, "", false, tryForge},
		{"forge-door", A7, "forge a sender with every capability", NeedRoot | NeedWorld | NeedNeighbour, "", true, tryForgeDoor},
		{"arp-claim-door", A7, "claim the gateway's address, with every capability", NeedRoot | NeedNeighbour, "", false,
			tryARPDoor},
		{"shm-hog", A2, "fill shared memory", 0, "", false, inside("536870912")},
		{"memory-hog", A2, "take the machine's memory", NeedNeighbour | NeedRoot, "", false, tryMemory},
		{"cpu-hog", A2, "spin on every core, in real time if allowed", NeedNeighbour, "", false, tryCPU},
		{"fork-bomb", A2, "fork without end", NeedNeighbour, "", true, tryForkBomb},
	}
}
