package engineapi

import (
	"net/netip"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
)

// CreateRequest asks for a container.
type CreateRequest struct {
	*Config
	HostConfig       *HostConfig               `json:"HostConfig,omitempty"`
	NetworkingConfig *network.NetworkingConfig `json:"NetworkingConfig,omitempty"`
}

// CreateResponse is the reply to it.
type CreateResponse struct {
	ID       string `json:"Id"`
	Warnings []string
}

// Config is what a container is on every host: in the reply about one, the two fields Tty and OpenStdin are read.
type Config struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	ExposedPorts network.PortSet `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`
	StopTimeout  *int   `json:",omitempty"`
	// Labels and Healthcheck say together whether an unhealthy container is restarted.
	Healthcheck *HealthConfig `json:",omitempty"`
}

// HealthConfig is a health check. What is zero is the image's, or the engine's default.
type HealthConfig struct {
	Test          []string      `json:",omitempty"`
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

// HostConfig is what a container has of this host.
type HostConfig struct {
	Binds           []string
	ContainerIDFile string
	LogConfig       LogConfig
	NetworkMode     string
	PortBindings    network.PortMap
	RestartPolicy   RestartPolicy
	AutoRemove      bool
	VolumeDriver    string
	VolumesFrom     []string
	ConsoleSize     [2]uint           // rows, columns
	Annotations     map[string]string `json:",omitempty"`
	CapAdd          []string
	CapDrop         []string
	CgroupnsMode    string
	DNS             []netip.Addr `json:"Dns"`
	DNSOptions      []string     `json:"DnsOptions"`
	DNSSearch       []string     `json:"DnsSearch"`
	ExtraHosts      []string
	GroupAdd        []string
	IpcMode         string
	Links           []string
	OomScoreAdj     int
	PidMode         string
	Privileged      bool
	PublishAllPorts bool
	ReadonlyRootfs  bool
	SecurityOpt     []string
	StorageOpt      map[string]string `json:",omitempty"`
	Tmpfs           map[string]string `json:",omitempty"`
	UTSMode         string
	UsernsMode      string
	ShmSize         int64
	Sysctls         map[string]string `json:",omitempty"`
	Runtime         string            `json:",omitempty"`
	Isolation       string
	Mounts          []mount.Mount `json:",omitempty"`
	MaskedPaths     []string
	ReadonlyPaths   []string
	Init            *bool `json:",omitempty"`

	// What moby keeps in a structure of its own, Resources, which JSON does not show.
	CPUShares    int64 `json:"CpuShares"`
	Memory       int64
	NanoCPUs     int64 `json:"NanoCpus"`
	CgroupParent string
	BlkioWeight  uint16

	BlkioWeightDevice    []*blkiodev.WeightDevice
	BlkioDeviceReadBps   []*blkiodev.ThrottleDevice
	BlkioDeviceWriteBps  []*blkiodev.ThrottleDevice
	BlkioDeviceReadIOps  []*blkiodev.ThrottleDevice
	BlkioDeviceWriteIOps []*blkiodev.ThrottleDevice

	CPUPeriod          int64 `json:"CpuPeriod"`
	CPUQuota           int64 `json:"CpuQuota"`
	CPURealtimePeriod  int64 `json:"CpuRealtimePeriod"`
	CPURealtimeRuntime int64 `json:"CpuRealtimeRuntime"`
	CPUCount           int64 `json:"CpuCount"`
	CPUPercent         int64 `json:"CpuPercent"`
	IOMaximumIOps      uint64
	IOMaximumBandwidth uint64

	CpusetCpus        string
	CpusetMems        string
	Devices           []DeviceMapping
	DeviceCgroupRules []string
	DeviceRequests    []DeviceRequest
	MemoryReservation int64
	MemorySwap        int64
	MemorySwappiness  *int64
	OomKillDisable    *bool
	PidsLimit         *int64
	Ulimits           []*units.Ulimit
}

// LogConfig names a log driver and its options.
type LogConfig struct {
	Type   string
	Config map[string]string
}

// RestartPolicy says when a container is started again.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// DeviceRequest asks for devices of a driver, as --gpus does.
type DeviceRequest struct {
	Driver       string
	Count        int // -1: all
	DeviceIDs    []string
	Capabilities [][]string // one of these lists, all of each
	Options      map[string]string
}

// DeviceMapping is a device of the host inside a container.
type DeviceMapping struct{ PathOnHost, PathInContainer, CgroupPermissions string }
