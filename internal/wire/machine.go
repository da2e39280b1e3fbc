package wire

// MachineFile is where who starts an engine leaves Machine for its wardens, in RUN. Only root writes there.
const MachineFile = "machine.json"

// Machine is what wardens have to know about where they run, and what was made for them there.
type Machine struct {
	Groups
	Memory   int64    `json:"memory"`            // bytes
	LastCap  int      `json:"lastCap"`           // the highest capability number
	Landlock int      `json:"landlock"`          // version of its ABI; 0: none
	AppArmor bool     `json:"appArmor"`          // the profiles of containers are loaded
	SELinux  bool     `json:"selinux"`           // the kernel has it, with a policy that knows containers
	Disk     string   `json:"disk"`              // what bounds containers and volumes: ByProject, InImage; "": nothing
	Missing  []string `json:"missing,omitempty"` // controllers and features that this host lacks
	// ExecByFD: execveat of a descriptor gives the process its name (6.14). AttachImages: only mounts that have a place can be
	// cloned (before 6.15).
	ExecByFD     bool `json:"execByFD"`
	AttachImages bool `json:"attachImages"`
	// OverlayByPath: overlayfs takes paths of layers only (before 6.13).
	OverlayByPath bool `json:"overlayByPath"`
}

// How directories of containers and volumes are bounded, as info tells it: a project quota for each, or each is a subvolume
// of the image that the engine has made.
const (
	ByProject = "project quota"
	InImage   = "btrfs image"
)

// Groups are the control groups of one engine, the same name in every hierarchy, version 2 first. Each container is a group in
// them.
type Groups struct {
	Instance    string      `json:"instance"` // that name, and part of all others that the kernel has for the whole machine
	Hierarchies []Hierarchy `json:"hierarchies"`
}

// Hierarchy is one tree of control groups.
type Hierarchy struct {
	Mounted []string `json:"mounted,omitempty"` // the controllers of a hierarchy of version 1; none: version 2
	Used    []string `json:"used"`              // those that bound containers; "io" goes by its old name "blkio"
	Path    string   `json:"path"`              // of the engine's group, from the root
}
