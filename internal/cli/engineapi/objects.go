package engineapi

// ImageSummary is one image of a list.
type ImageSummary struct {
	ID          string `json:"Id"`
	Containers  int64
	Created     int64
	RepoDigests []string
	RepoTags    []string
	SharedSize  int64
	Size        int64
}

// ImageDeleteResponse is one thing that the removal of an image has removed.
type ImageDeleteResponse struct {
	Deleted  string `json:",omitempty"`
	Untagged string `json:",omitempty"`
}

// ImageHistoryItem is one step that an image was built in.
type ImageHistoryItem struct {
	Comment   string
	Created   int64
	CreatedBy string
	ID        string `json:"Id"`
	Size      int64
}

// VolumeCreateRequest asks for a volume.
type VolumeCreateRequest struct {
	Driver     string            `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
	Name       string            `json:",omitempty"`
}

// Volume describes one.
type Volume struct {
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Scope      string
	UsageData  *UsageData `json:",omitempty"`
}

// VolumeListResponse is a list of them.
type VolumeListResponse struct {
	Volumes  []Volume
	Warnings []string
}
