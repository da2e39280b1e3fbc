package wire

import "encoding/json"

// Op names one operation that brigd may ask of the warden. The list is closed: the warden refuses any other name.
type Op string

// The operations, by noun. The comment gives request → reply, and the descriptors that travel with each.
const (
	OpHello Op = "hello" // Hello → HelloReply, fds: with a network, UDP and TCP sockets on port 53 of the gateway, for the forwarder

	OpIndexRemove Op = "index.remove" // ObjectRef → –; it is unmounted, then brig-store removes it (package objects)

	OpWorkerStart Op = "worker.start" // WorkerStart + fd (the worker's end of the job socket) → –, fd: pidfd

	// Containers.
	OpContainerStart  Op = "container.start"  // ContainerStart [+ fd: caller's connection] → Started, fds: see Started
	OpContainerAttach Op = "container.attach" // ContainerRef → Started, fds: as start; after a restart of brigd
	OpContainerSignal Op = "container.signal" // ContainerSignal → –
	OpContainerRemove Op = "container.remove" // ContainerRef → –; upper directory and every trace
	OpContainerList   Op = "container.list"   // – → ContainerList
	// OpContainerCopy starts a worker that sees what a container sees, running or not: for cp, diff, export and commit.
	OpContainerCopy Op = "container.copy" // ContainerStart + fd (the worker's end of the job socket) [+ fd: caller's connection] → –, fd: pidfd

	OpContainerPlan Op = "container.plan" // ContainerStart [+ fd: caller's connection] → the plan of its birth, which is not carried out
	OpContainerView Op = "container.view" // ContainerLook → ContainerView

	OpContainerFreeze Op = "container.freeze" // ContainerFreeze → –; when all processes stand still, or go on
	OpContainerUpdate Op = "container.update" // ContainerUpdate → –
	OpContainerStats  Op = "container.stats"  // ContainerRef → ContainerStats, fds: the files, for reading
	OpContainerProcs  Op = "container.procs"  // ContainerRef → ContainerProcs

	// Processes of a container.
	OpExecStart         Op = "exec.start"         // ExecStart → Started, fds: as container.start
	OpProcessCloseStdin Op = "process.closeStdin" // ProcessRef → –; the program reads end of file
	OpProcessFinish     Op = "process.finish"     // ProcessRef → Exit; it has ended; with process 1 goes the sandbox

	OpVolumeCreate Op = "volume.create" // VolumeRef → –
	OpVolumeRemove Op = "volume.remove" // VolumeRef → –
	OpVolumeList   Op = "volume.list"   // – → VolumeList

	OpNetworkJoin Op = "network.join" // NetworkJoin → –; the container is in these networks from then on, and in no other
)

// List is a closed list of operations.
type List map[Op]Rule

// Rule says how many descriptors come with a request.
type Rule struct{ Least, Most int }

// Known is what brigd may ask of the warden.
var Known = List{
	OpHello: {}, OpIndexRemove: {}, OpWorkerStart: {1, 1},
	OpContainerStart: {0, 1}, OpContainerAttach: {}, OpContainerSignal: {}, OpContainerRemove: {}, OpContainerList: {}, OpContainerCopy: {1, 2},
	OpContainerPlan: {0, 1}, OpContainerView: {}, OpContainerFreeze: {}, OpContainerUpdate: {}, OpContainerStats: {}, OpContainerProcs: {},
	OpExecStart: {}, OpProcessCloseStdin: {}, OpProcessFinish: {},
	OpVolumeCreate: {}, OpVolumeRemove: {}, OpVolumeList: {}, OpNetworkJoin: {},
}

// Hello opens a connection. Version must be equal on both sides: all binaries come from one build.
type Hello struct {
	Version string `json:"version"`
}

// HelloReply tells brigd about the host and the engine.
type HelloReply struct {
	Machine
	// Subnet, Gateway (CIDR, address) of the network called bridge; "" when the machine cannot have it, with the reason.
	Subnet       string `json:"subnet,omitempty"`
	Gateway      string `json:"gateway,omitempty"`
	NetworkError string `json:"networkError,omitempty"`
}

// What the warden asks of brig-store, and brig-store of the warden; what brigd asks is package objects.
const OpIndexOpen Op = "index.open" // ObjectRef → –, fds: an index, then its devices, in order

// StoreAsks is the closed list of the latter; the others are with those who serve.
var StoreAsks = List{OpWorkerStart: {1, 1}}

// ObjectRef names a sealed object, as sha256:hex. To seal, "" lets brig-store name what it computes; otherwise the
// computed sha256 must be equal.
type ObjectRef struct {
	Digest string `json:"digest"`
}

// WorkerStart starts one worker: no file system, no network, no privileges. The forwarder stays as long as its brigd;
// any other ends with its job.
type WorkerStart struct {
	Stays bool `json:"stays,omitempty"`
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
	// Description is what another runtime reads, if the container is to have one: its config.json.
	Description json.RawMessage `json:"description,omitempty"`
}

// Started tells about a process that runs. Its descriptors are, in order: pidfd, then with a terminal the pty master,
// else stdin (write end; only if Stdin was asked for), stdout (read end), stderr (read end); then one listening socket
// per entry of Ports, for loopback clients, in order.
type Started struct {
	PID       int    `json:"pid"`       // in the engine's pid namespace
	StartTime uint64 `json:"startTime"` // clock ticks since boot, field 22 of /proc/PID/stat
	// StartedAt is in nanoseconds since the epoch.
	StartedAt int64  `json:"startedAt"`
	Range     uint32 `json:"range"` // first host id of the sandbox
	// ProcessLabel and MountLabel are SELinux's; "": there is none.
	ProcessLabel string    `json:"processLabel,omitempty"`
	MountLabel   string    `json:"mountLabel,omitempty"`
	Endpoint     *Endpoint `json:"endpoint,omitempty"`
	Ports        []Port    `json:"ports,omitempty"` // as they are bound
	Terminal     bool      `json:"terminal,omitempty"`
	Stdin        bool      `json:"stdin,omitempty"`
	// Warnings are sentences for the person who asked: default bounds that this host could not give.
	Warnings []string `json:"warnings,omitempty"`
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

// ContainerSignal sends a signal to process 1; SIGKILL is for every process of the container.
type ContainerSignal struct {
	ID     string `json:"id"`
	Signal int    `json:"signal"`
}

// ContainerFreeze pauses a container, or resumes it.
type ContainerFreeze struct {
	ID     string `json:"id"`
	Frozen bool   `json:"frozen,omitempty"`
}

// ContainerUpdate gives a running container other bounds: all of them, also those that stay.
type ContainerUpdate struct {
	ID        string    `json:"id"`
	Resources Resources `json:"resources"`
}

// ContainerStats names the files whose descriptors come along: control files (those of version 1 with "v1/" in front).
type ContainerStats []string

// ContainerProcs are the processes of a container, at most 2,048. Numbers are those of the engine's namespaces.
type ContainerProcs []ProcTexts

// ProcTexts are the beginnings of files in /proc of one process.
type ProcTexts struct {
	Stat    string `json:"stat"`
	Status  string `json:"status"`
	Cmdline string `json:"cmdline,omitempty"`
}

// ContainerLook asks for files of process 1 by name: those that tell how it is confined, "net/dev", and the links below "ns".
type ContainerLook struct {
	ID    string   `json:"id"`
	Names []string `json:"names"`
}

// ContainerView is what the kernel says of process 1: files of its directory in /proc, and where links lead.
type ContainerView map[string]string

// ContainerList has the ids of all containers that have a directory, or a process, or both, and tells which run or have ended
// and are not finished yet.
type ContainerList map[string]bool

// ProcessRef names a process that was executed in a container, or without Exec the container's own.
type ProcessRef struct {
	ID   string `json:"id"`
	Exec string `json:"exec,omitempty"`
}

// ExecStart executes a process in a running container, capped at the container's own confinement.
type ExecStart struct {
	ID      string  `json:"id"`
	Exec    string  `json:"exec"`
	Process Process `json:"process"`
	// Description is what the container's runtime reads, if it is not Brig: a process of config.json.
	Description json.RawMessage `json:"description,omitempty"`
}

// NetworkJoin says what networks a running container is a member of.
type NetworkJoin struct {
	ID string `json:"id"`
	Membership
}

// VolumeRef names a volume: [a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}.
type VolumeRef struct {
	Name string `json:"name"`
	Size int64  `json:"size,omitempty"` // what a new one is bounded to, in bytes; 0 is 10 GiB
}

// VolumeList holds the names of all volumes.
type VolumeList []string

// Container is the id of the container that a request is about.
func (q ContainerRef) Container() string    { return q.ID }
func (q ContainerSignal) Container() string { return q.ID }
func (q ContainerUpdate) Container() string { return q.ID }
func (q ContainerLook) Container() string   { return q.ID }
func (q ExecStart) Container() string       { return q.ID }
func (q NetworkJoin) Container() string     { return q.ID }

// Version of the programs, set by the build. All five come from one build and refuse to talk to another one.
var Version = "0.1.0-dev"
