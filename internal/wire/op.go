package wire

// Op names one operation that brigd may ask of the warden. The list is closed: the warden refuses an unknown name, and
// refuses by name what is not built.
type Op string

// The operations, by noun. The comment gives request → reply, and the descriptors that travel with each.
const (
	OpHello Op = "hello" // Hello → HelloReply

	// The store: sealed objects, named by the sha256 that the warden computed itself.
	OpObjectCreate Op = "object.create" // – → –, fd: an unnamed file, O_RDWR
	OpObjectSeal   Op = "object.seal"   // ObjectRef + fd → Object; fails while another writer exists
	OpObjectOpen   Op = "object.open"   // ObjectRef → Object, fd: O_RDONLY
	OpObjectRemove Op = "object.remove" // ObjectRef → –; refused while an index or a container needs it
	OpObjectList   Op = "object.list"   // – → ObjectList
	OpIndexSeal    Op = "index.seal"    // IndexSeal + fd → Object; the warden has a fresh worker check the index first
	OpIndexRemove  Op = "index.remove"  // ObjectRef → –

	OpWorkerStart Op = "worker.start" // WorkerStart + fd (the worker's end of the job socket) → –, fd: pidfd
	OpFilterPut   Op = "filter.put"   // Filter → –; it is known by its Digest from then on

	// Containers.
	OpContainerStart      Op = "container.start"      // ContainerStart [+ fd: caller's connection] → Started, fds: see Started
	OpContainerAttach     Op = "container.attach"     // ContainerRef → Started, fds: as start; after a restart of brigd
	OpContainerCloseStdin Op = "container.closeStdin" // ContainerRef → –; the program reads end of file
	OpContainerSignal     Op = "container.signal"     // ContainerSignal → –
	OpContainerFinish     Op = "container.finish"     // ContainerRef → Exit; waits for the end, notes it, takes the sandbox down
	OpContainerRemove     Op = "container.remove"     // ContainerRef → –; upper directory and every trace
	OpContainerList       Op = "container.list"       // – → ContainerList
	// OpContainerCopy starts a worker that sees what a container sees, running or not: for cp, diff, export and commit.
	OpContainerCopy Op = "container.copy" // ContainerStart [+ fd: caller's connection] + fd (the worker's end of the job socket) → –, fd: pidfd

	OpExecStart  Op = "exec.start"  // ExecStart → Started, fds: as container.start
	OpExecFinish Op = "exec.finish" // ExecRef → Exit
	OpExecStdin  Op = "exec.closeStdin"

	OpVolumeCreate Op = "volume.create" // VolumeRef → –
	OpVolumeRemove Op = "volume.remove" // VolumeRef → –
	OpVolumeList   Op = "volume.list"   // – → VolumeList

	OpNetworkDNS Op = "network.dns" // – → –, fds: UDP and TCP sockets on port 53 of the gateway, for the forwarder

)

// List is a closed list of operations.
type List map[Op]Rule

// Rule says how many descriptors come with a request.
type Rule struct{ Least, Most int }

// unbuilt is the rule of an operation that this version does not have.
var unbuilt = Rule{Most: -1}

// Known is what brigd may ask of the warden.
var Known = List{
	OpHello: {}, OpObjectCreate: {}, OpObjectSeal: {1, 1}, OpObjectOpen: {}, OpObjectRemove: {}, OpObjectList: {},
	OpIndexSeal: {1, 1}, OpIndexRemove: {}, OpWorkerStart: {1, 1}, OpFilterPut: {},
	OpContainerStart: {0, 1}, OpContainerAttach: {}, OpContainerCloseStdin: {}, OpContainerSignal: {},
	OpContainerFinish: {}, OpContainerRemove: {}, OpContainerList: {}, OpContainerCopy: {1, 2},
	OpExecStart: {}, OpExecFinish: {}, OpExecStdin: {},
	OpVolumeCreate: {}, OpVolumeRemove: {}, OpVolumeList: {}, OpNetworkDNS: {},

	// Readings need no privilege; update changes bounds; usage is that of the upper directory, in bytes and inodes.
	"container.procs": unbuilt, "container.stats": unbuilt, "container.update": unbuilt, "container.usage": unbuilt,
	"container.pause": unbuilt, "container.resume": unbuilt, "container.checkpoint": unbuilt,
	// The API cannot ask for a signal to what was executed.
	"exec.signal": unbuilt, "volume.usage": unbuilt,
	"network.create": unbuilt, "network.remove": unbuilt, "network.join": unbuilt, "network.leave": unbuilt,
	"secret.put": unbuilt, "secret.remove": unbuilt, "lsm.load": unbuilt, "trail.append": unbuilt,
}

// Hello opens a connection. Version must be equal on both sides: all binaries come from one build.
type Hello struct {
	Version string `json:"version"`
}

// HelloReply tells brigd about the host and the engine.
type HelloReply struct {
	Instance string `json:"instance"`
	// Subnet, Gateway (CIDR, address) of the network called bridge; "" when the machine cannot have it, with the reason.
	Subnet        string `json:"subnet,omitempty"`
	Gateway       string `json:"gateway,omitempty"`
	HostAddress   string `json:"hostAddress,omitempty"` // the host's own address towards the router
	NetworkError  string `json:"networkError,omitempty"`
	MemoryTotal   int64  `json:"memoryTotal"` // bytes
	CPUs          int    `json:"cpus"`
	CgroupVersion string `json:"cgroupVersion"` // "2", or "hybrid": some controller is in version 1
	// DNSForwarder tells whether the gateway answers on port 53 (the host's own resolvers are loopback stubs).
	DNSForwarder bool     `json:"dnsForwarder,omitempty"`
	Missing      []string `json:"missing,omitempty"` // controllers and features that this host lacks
	NofileHard   uint64   `json:"nofileHard"`        // the highest open-files limit that can be given
}

// ObjectRef names a sealed object, as sha256:hex. To seal, "" lets the warden name what it computes; otherwise the
// computed sha256 must be equal.
type ObjectRef struct {
	Digest string `json:"digest"`
}

// Object describes a sealed object.
type Object struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// ObjectList is the content of the store.
type ObjectList struct {
	Objects []Object `json:"objects"`
	Indexes []Index  `json:"indexes"`
}

// Index is a sealed file-system index with the data objects that are its devices, in order. Its digest is that of the
// index's own digest and the list, one a line.
type Index struct {
	Digest string   `json:"digest"`
	Data   []string `json:"data"`
}

// IndexSeal asks to check and seal an index whose devices are the sealed objects Data, in order.
type IndexSeal struct {
	Data []string `json:"data"`
}

// WorkerStart starts one worker. Kind chooses the confinement (all kinds: no file system, no network, no privileges) and
// must be equal to the kind of the job that will be sent.
type WorkerStart struct {
	Kind string `json:"kind"`
}

// ContainerRef names a container by its 64 hex digits.
type ContainerRef struct {
	ID string `json:"id"`
}

// ContainerStart gives birth to a container. The caller's connection travels with it whenever Spec names a host path,
// device or relaxation: the warden asks the kernel who it is (traps.md 2).
type ContainerStart struct {
	ID   string `json:"id"`
	Spec Spec   `json:"spec"`
	// Caller says that the first descriptor is the caller's connection.
	Caller bool `json:"caller,omitempty"`
}

// Started tells about a process that runs. Its descriptors are, in order: pidfd, then with a terminal the pty master,
// else stdin (write end; only if Stdin was asked for), stdout (read end), stderr (read end); then one listening socket
// per entry of Ports with Listener set, in order.
type Started struct {
	PID       int    `json:"pid"`       // in the engine's pid namespace
	StartTime uint64 `json:"startTime"` // clock ticks since boot, field 22 of /proc/PID/stat
	// StartedAt is in nanoseconds since the epoch.
	StartedAt int64       `json:"startedAt"`
	Range     uint32      `json:"range"` // first host id of the sandbox
	Address   string      `json:"address,omitempty"`
	PrefixLen int         `json:"prefixLen,omitempty"`
	Gateway   string      `json:"gateway,omitempty"`
	MAC       string      `json:"mac,omitempty"`
	Ports     []BoundPort `json:"ports,omitempty"`
	Terminal  bool        `json:"terminal,omitempty"`
	Stdin     bool        `json:"stdin,omitempty"`
	// Warnings are sentences for the person who asked: default bounds that this host could not give.
	Warnings []string `json:"warnings,omitempty"`
}

// BoundPort is a published port as it is bound on the host.
type BoundPort struct {
	Port
	// Listener says that a socket for loopback clients travels with the reply.
	Listener bool `json:"listener,omitempty"`
}

// Exit tells how a process ended. Code is the exit code, or 128 + signal.
type Exit struct {
	Code      int   `json:"code"`
	Signal    int   `json:"signal,omitempty"`
	OOMKilled bool  `json:"oomKilled,omitempty"`
	At        int64 `json:"at"` // nanoseconds since the epoch
	// Unknown is set when nobody saw the process end (the machine was restarted).
	Unknown bool `json:"unknown,omitempty"`
}

// ContainerSignal sends a signal to process 1, or with All to every process of the container (SIGKILL only).
type ContainerSignal struct {
	ID     string `json:"id"`
	Signal int    `json:"signal"`
	All    bool   `json:"all,omitempty"`
}

// ContainerList is what the warden knows.
type ContainerList struct {
	Containers []ContainerState `json:"containers"`
}

// ContainerState is one container with a directory, or a process, or both.
type ContainerState struct {
	ID      string `json:"id"`
	Running bool   `json:"running,omitempty"` // or ended and not finished yet
}

// ExecRef names a process that was executed in a container.
type ExecRef struct {
	ID   string `json:"id"`
	Exec string `json:"exec"`
}

// ExecStart executes a process in a running container, capped at the container's own confinement.
type ExecStart struct {
	ID      string  `json:"id"`
	Exec    string  `json:"exec"`
	Process Process `json:"process"`
}

// VolumeRef names a volume: [a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}.
type VolumeRef struct {
	Name string `json:"name"`
}

// VolumeList holds the names of all volumes.
type VolumeList struct {
	Names []string `json:"names"`
}

// Version of the programs, set by the build. All five come from one build and refuse to talk to another one.
var Version = "0.1.0-dev"
