package wire

// GroupsFile is where who starts an engine leaves Groups for its wardens, in RUN. Only root writes there.
const GroupsFile = "groups.json"

// Groups are the control groups of one engine, the same name in every hierarchy, version 2 first. Each container is a group in
// them.
type Groups struct {
	Instance    string      `json:"instance"` // that name, and part of all others that the kernel has for the whole machine
	Hierarchies []Hierarchy `json:"hierarchies"`
	Missing     []string    `json:"missing,omitempty"` // sentences: the default bounds that this kernel cannot give
}

// Hierarchy is one tree of control groups.
type Hierarchy struct {
	Mounted []string `json:"mounted,omitempty"` // the controllers of a hierarchy of version 1; none: version 2
	Used    []string `json:"used"`              // those that bound containers; "io" goes by its old name "blkio"
	Path    string   `json:"path"`              // of the engine's group, from the root
}
