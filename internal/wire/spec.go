package wire

import (
	"encoding/json"
	"strings"

	"golang.org/x/sys/unix"
)

// Spec is the effective specification of one container: what the policy made of a request and an image. It follows the
// OCI runtime spec in names and meaning, and is closed: what it cannot say cannot be asked of the warden. Every zero
// value is the safe one.
type Spec struct {
	Hostname   string `json:"hostname,omitempty"`
	Domainname string `json:"domainname,omitempty"`

	// Image is the digest (sha256:hex) of the sealed index that is the lower layer of the root.
	Image string `json:"image"`
	// WritableRoot gives the root an upper directory that the program may write to. The zero value is --read-only.
	WritableRoot bool `json:"writableRoot,omitempty"`
	// Volatile mounts the overlay without syncing: for containers whose upper directory dies with them (--rm).
	Volatile bool `json:"volatile,omitempty"`
	// Disk bounds the upper directory, in bytes and with them in inodes; 0 is 10 GiB, never "no bound" where there can be one.
	Disk int64 `json:"disk,omitempty"`

	Process Process  `json:"process"`
	Mounts  []Mount  `json:"mounts,omitempty"`
	Devices []Device `json:"devices,omitempty"`
	// MaskedPaths and ReadonlyPaths are absolute paths inside the container below /proc and /sys. Missing ones are skipped.
	MaskedPaths   []string  `json:"maskedPaths,omitempty"`
	ReadonlyPaths []string  `json:"readonlyPaths,omitempty"`
	Resources     Resources `json:"resources"`
	// Sysctl: names in dotted form; only namespaced ones pass the floor.
	Sysctl map[string]string `json:"sysctl,omitempty"`
	// ShmSize is the size of /dev/shm in bytes; 0 is the default of 64 MiB.
	ShmSize int64   `json:"shmSize,omitempty"`
	NoShm   bool    `json:"noShm,omitempty"` // nothing is mounted on /dev/shm
	Network Network `json:"network"`
	Join    Join    `json:"join,omitzero"`
	// Runtime is the name of another OCI runtime that makes the container, inside of Brig's sandbox; "" is Brig.
	Runtime string `json:"runtime,omitempty"`
	// Init runs the embedded init program as process 1.
	Init bool `json:"init,omitempty"`
	// Files are small files that the engine writes into the container before start: hosts, resolv.conf, hostname.
	// They live on a tmpfs of 64 KiB so that no container can grow them on the host (attacks.md A2).
	Files []File `json:"files,omitempty"`
}

// Join shares namespaces of another container, which runs. Both are of one sandbox then: they have its range of ids and its
// user namespace. With the network come hosts, hostname and resolv.conf of the owner, with IPC its /dev/shm.
type Join struct {
	Container  string `json:"container,omitempty"`  // "": every namespace is the container's own
	Namespaces int    `json:"namespaces,omitempty"` // of CLONE_NEWNET, CLONE_NEWIPC and CLONE_NEWPID
}

// File is one file that the engine provides, at an absolute path inside the container. At most 16 KiB of content.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// Process is the program of a container, or one that is executed in a running container.
type Process struct {
	// Args[0] without a slash is searched in PATH of Env, inside the container.
	Args []string `json:"args"`
	// Env holds NAME=value strings in their final order.
	Env []string `json:"env,omitempty"`
	// Cwd is absolute inside the container; it is made if it is missing (start only).
	Cwd  string `json:"cwd"`
	User User   `json:"user"`
	// Capabilities, as bit masks by capability number. Ceiling: what the floor allows.
	Capabilities Capabilities `json:"capabilities"`
	// AllowNewPrivileges is the negation of no_new_privs, so that zero is safe.
	AllowNewPrivileges bool     `json:"allowNewPrivileges,omitempty"`
	Rlimits            []Rlimit `json:"rlimits,omitempty"`
	OOMScoreAdj        int      `json:"oomScoreAdj,omitempty"`
	// Filter is stacked on the floor filter; nil is the built-in default, an empty one leaves the floor alone in place.
	Filter *Filter `json:"seccomp,omitempty"`
	// NoLandlock leaves Landlock out (SYS_PTRACE was added: traps: exec'd debuggers could not look at process 1).
	NoLandlock bool `json:"noLandlock,omitempty"`
	// ABI32 lets in calls of the machine's 32-bit instruction set (i386), under a floor and a filter that know them.
	ABI32 bool `json:"abi32,omitempty"`
	// AppArmor is the profile that confines the process where the kernel has AppArmor; "" is the engine's own for its
	// capabilities, "unconfined" is none, any other was loaded by the administrator.
	AppArmor string `json:"appArmor,omitempty"`
	// Label is the user, role and type of SELinux, with : between them, where the kernel has it; "" is the engine's own, and
	// "disable" leaves the process the label that what the engine executes has. Level is who shares files; "": the sandbox alone.
	Label string `json:"label,omitempty"`
	Level string `json:"level,omitempty"`
	// Terminal gives the process a pty of the container's own devpts.
	Terminal bool   `json:"terminal,omitempty"`
	Rows     uint16 `json:"rows,omitempty"`
	Cols     uint16 `json:"cols,omitempty"`
	// Stdin keeps standard input open; otherwise it is /dev/null.
	Stdin bool `json:"stdin,omitempty"`
}

// User holds ids inside the container; the umask of the process is 022 unless Umask is set.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
	Umask  *uint32  `json:"umask,omitempty"`
}

// Capabilities are bit masks by capability number (capabilities(7)). What is permitted is effective; nothing is inheritable
// or ambient.
type Capabilities struct {
	Bounding  uint64 `json:"bounding,omitempty"`
	Permitted uint64 `json:"permitted,omitempty"`
}

// Rlimit is one resource limit; Type is a name without prefix in lower case ("nofile"). Unlimited is ^uint64(0).
type Rlimit struct {
	Type string `json:"type"`
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// The engine's AppArmor profiles: for the capabilities that are in the default, and for more.
const AppArmorDefault, AppArmorCapable = "brig-default", "brig-capable"

// MountKind says where the contents of a mount come from.
type MountKind string

// The kinds of mounts a Spec can ask for. proc, sys, dev, pts, shm and mqueue are always there and not listed.
const (
	MountTmpfs  MountKind = "tmpfs"
	MountVolume MountKind = "volume" // Source is the volume's name
	MountBind   MountKind = "bind"   // Source is a host path, opened with the caller's credentials
	MountImage  MountKind = "image"  // Source is the digest of a sealed index, read-only
)

// Mount is one mount below the root, in order. nosuid and nodev are always set.
type Mount struct {
	Kind   MountKind `json:"kind"`
	Source string    `json:"source,omitempty"`
	// Target is absolute inside the container, resolved inside its root and made if it is missing.
	Target string `json:"target"`
	// Writable is the negation of "ro".
	Writable bool `json:"writable,omitempty"`
	Exec     bool `json:"exec,omitempty"`
	// Size in bytes and Mode (octal permission bits) are for tmpfs; brigd's policy fills in what nobody asked for.
	Size int64  `json:"size,omitempty"`
	Mode uint32 `json:"mode,omitempty"`
	// UID and GID, inside the container, of a tmpfs.
	UID uint32 `json:"uid,omitempty"`
	GID uint32 `json:"gid,omitempty"`
	// Subpath is the part of a volume or an image that is mounted, if it is not all.
	Subpath string `json:"subpath,omitempty"`
	// Fill copies what the image has at Target into a new, empty volume.
	Fill bool `json:"fill,omitempty"`
	// Recursive includes the mounts below a bind source.
	Recursive bool `json:"recursive,omitempty"`
	// Relabel gives a bind or volume the SELinux label of the files of all containers ("z"), or of this one ("Z").
	Relabel string `json:"relabel,omitempty"`
}

// Device gives the container a character device of the host, or those of a directory. A node of it is made, for the
// administrator alone.
type Device struct {
	Source string `json:"source"`
	Target string `json:"target"` // below /dev/
	Access uint32 `json:"access"` // BPF_DEVCG_ACC_READ, BPF_DEVCG_ACC_WRITE
}

// Resources bound a container. A zero value of a bound means the engine's default, never "no bound": the defaults are
// filled by brigd's policy and held against the floor by the warden.
type Resources struct {
	Memory            int64  `json:"memory,omitempty"`     // bytes
	MemorySwap        int64  `json:"memorySwap,omitempty"` // bytes, memory + swap; 0: equal to Memory
	MemoryReservation int64  `json:"memoryReservation,omitempty"`
	CPUShares         uint64 `json:"cpuShares,omitempty"` // 2..262144, default 1024
	CPUQuota          int64  `json:"cpuQuota,omitempty"`  // µs per period
	CPUPeriod         uint64 `json:"cpuPeriod,omitempty"` // µs
	CpusetCpus        string `json:"cpusetCpus,omitempty"`
	CpusetMems        string `json:"cpusetMems,omitempty"`
	Pids              int64  `json:"pids,omitempty"`
	BlkioWeight       uint16 `json:"blkioWeight,omitempty"` // 10..1000
	// What version 2 has in place of those above, as brigd computes it for each start and update.
	CPUWeight uint64 `json:"cpuWeight,omitempty"` // 1..10000
	CPUMax    string `json:"cpuMax,omitempty"`    // quota and period
	IOWeight  uint16 `json:"ioWeight,omitempty"`  // 1..10000
	Rates     []Rate `json:"rates,omitempty"`     // for life: an update has none
}

// Rate bounds what is done with a disk of the host in a second.
type Rate struct {
	Source string `json:"source"` // its path
	Kind   string `json:"kind"`   // as in io.max: rbps, wbps, riops, wiops
	Most   uint64 `json:"most"`
	Disk   string `json:"disk,omitempty"` // MAJOR:MINOR, as brigd finds it for each start
}

// NetworkMode says which network namespace a container gets.
type NetworkMode string

// The network modes. The zero value is a namespace with nothing but loopback.
const (
	NetworkNone     NetworkMode = ""
	NetworkEndpoint NetworkMode = "endpoint"
)

// Network of a container.
type Network struct {
	Mode NetworkMode `json:"mode,omitempty"`
	// Name of the routed network whose endpoint this is: "bridge", whatever networks of people's own it is a member of.
	Name  string `json:"name,omitempty"`
	Ports []Port `json:"ports,omitempty"`
	Membership
}

// MaxNetworks bounds the networks that one endpoint is a member of: the rules look into so many places for each packet.
const MaxNetworks = 16

// Membership says whom an endpoint reaches besides the outside: who has one of these numbers as well. brigd gives a
// number to each network; what a network is called is not known below it. Confined endpoints reach no outside.
type Membership struct {
	Networks []uint32 `json:"networks,omitempty"`
	Confined bool     `json:"confined,omitempty"`
}

// Port publishes ContainerPort on the host. HostIP "" is every address of both families. HostPort 0 takes a free port.
type Port struct {
	Proto         string `json:"proto"` // tcp, udp
	HostIP        string `json:"hostIP,omitempty"`
	HostPort      uint16 `json:"hostPort,omitempty"`
	ContainerPort uint16 `json:"containerPort"`
}

// FilterMaxInstructions is the kernel's bound for one program (BPF_MAXINSNS).
const FilterMaxInstructions = 4096

// Filter is a system call filter as the kernel takes it. brigd has compiled it, and the warden stacks it on a floor of its
// own, which no Filter can weaken.
type Filter struct {
	// Program is classic BPF, eight bytes for each instruction (struct sock_filter). Without any the floor is alone.
	Program []byte `json:"program,omitempty"`
	// Flags for seccomp(2): the kernel logs every verdict other than allow (LOG); there is a Listener (NEW_LISTENER).
	Flags uint32 `json:"flags,omitempty"`
	// Narrows has the built-in default below it as well as the floor, so that it can only take away, and nobody needs a right to it.
	Narrows bool `json:"narrows,omitempty"`
	// Listener decides about the calls that it leaves to one: the program behind a unix socket, which is told Metadata, in JSON. A
	// path of the host is connected to with the caller's credentials; Recorder is brigd's own.
	Listener string `json:"listener,omitempty"`
	Metadata string `json:"metadata,omitempty"`
}

// Recorder is the listener that brigd is itself, a socket in its directory in RUN.
const Recorder = "recorder.sock"

// maxMetadata is below what a connection takes at once, whether or not its other end reads.
const maxMetadata = 100 << 10

// Valid checks the length, and what a listener is told. What the instructions may be is the kernel's to say, and it does when
// it loads them.
func (f *Filter) Valid() bool {
	listens := f.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0
	told := listens && len(f.Program) > 0 && (f.Listener == Recorder || strings.HasPrefix(f.Listener, "/")) &&
		len(f.Metadata) <= maxMetadata && json.Valid([]byte(f.Metadata))
	return len(f.Program)%8 == 0 && len(f.Program)/8 <= FilterMaxInstructions && (told || !listens && f.Listener == "") &&
		f.Flags&^(unix.SECCOMP_FILTER_FLAG_LOG|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0
}
