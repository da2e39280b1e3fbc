package engineapi

import "time"

// PruneReport is what the engine answers to each of the requests that remove what is not used: it has the fields of all
// five answers.
type PruneReport struct {
	ContainersDeleted []string
	NetworksDeleted   []string
	VolumesDeleted    []string
	ImagesDeleted     []ImageDeleteResponse
	CachesDeleted     []string
	SpaceReclaimed    uint64
}

// DiskUsage is the report of disk space of API versions before 1.52, which moby's structures do not have any more.
type DiskUsage struct {
	LayersSize int64
	Images     []ImageSummary
	Containers []ContainerSummary
	Volumes    []Volume
	BuildCache []CacheRecord
}

// CacheRecord is one thing that a build has left.
type CacheRecord struct {
	ID          string
	Parents     []string `json:",omitempty"`
	Type        string
	Description string
	InUse       bool
	Shared      bool
	Size        int64
	CreatedAt   time.Time
	LastUsedAt  *time.Time
	UsageCount  int
}

// UsageData is how much space a volume takes, and how many containers hold it. Below 0 is not known.
type UsageData struct{ RefCount, Size int64 }
