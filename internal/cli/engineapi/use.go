package engineapi

// UpdateConfig asks for other bounds of a container. What is zero stays as it is.
type UpdateConfig struct {
	CPUShares          int64 `json:"CpuShares"`
	Memory             int64
	NanoCPUs           int64 `json:"NanoCpus"`
	BlkioWeight        uint16
	CPUPeriod          int64 `json:"CpuPeriod"`
	CPUQuota           int64 `json:"CpuQuota"`
	CPURealtimePeriod  int64 `json:"CpuRealtimePeriod"`
	CPURealtimeRuntime int64 `json:"CpuRealtimeRuntime"`
	CpusetCpus         string
	CpusetMems         string
	MemoryReservation  int64
	MemorySwap         int64
	PidsLimit          *int64
	RestartPolicy      RestartPolicy
}

// UpdateResponse is the reply to it.
type UpdateResponse struct{ Warnings []string }

// StatsResponse tells what a container uses, and what it had used of the processors one reading before.
type StatsResponse struct {
	ID          string                  `json:"id,omitempty"`
	Name        string                  `json:"name,omitempty"`
	CPUStats    CPUStats                `json:"cpu_stats,omitempty"`
	MemoryStats MemoryStats             `json:"memory_stats,omitempty"`
	Networks    map[string]NetworkStats `json:"networks,omitempty"`
	PidsStats   PidsStats               `json:"pids_stats,omitempty"`
	BlkioStats  BlkioStats              `json:"blkio_stats,omitempty"`
	PreCPUStats CPUStats                `json:"precpu_stats,omitempty"`
}

// CPUStats is processor time, of a container and of the machine, in nanoseconds.
type CPUStats struct {
	CPUUsage    CPUUsage `json:"cpu_usage"`
	SystemUsage uint64   `json:"system_cpu_usage,omitempty"`
	OnlineCPUs  uint32   `json:"online_cpus,omitempty"`
}

// CPUUsage is the container's part.
type CPUUsage struct {
	TotalUsage  uint64   `json:"total_usage"`
	PercpuUsage []uint64 `json:"percpu_usage,omitempty"`
}

// MemoryStats is in bytes.
type MemoryStats struct {
	Usage uint64            `json:"usage,omitempty"`
	Stats map[string]uint64 `json:"stats,omitempty"`
	Limit uint64            `json:"limit,omitempty"`
}

// NetworkStats are bytes that went through one interface.
type NetworkStats struct {
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
}

// PidsStats is the number of processes and threads.
type PidsStats struct {
	Current uint64 `json:"current,omitempty"`
}

// BlkioStats are bytes from and to block devices.
type BlkioStats struct {
	IoServiceBytesRecursive []BlkioStatEntry `json:"io_service_bytes_recursive"`
}

// BlkioStatEntry is one kind of operation on one device.
type BlkioStatEntry struct {
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}
