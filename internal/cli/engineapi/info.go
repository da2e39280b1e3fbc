package engineapi

import "net/netip"

// VersionResponse is who the engine is.
type VersionResponse struct {
	Platform      PlatformInfo `json:",omitempty"`
	Version       string
	APIVersion    string `json:"ApiVersion"`
	MinAPIVersion string `json:",omitempty"`
	Os            string
	Arch          string
	Components    []ComponentVersion `json:",omitempty"`
	GitCommit     string             `json:",omitempty"`
	GoVersion     string             `json:",omitempty"`
	KernelVersion string             `json:",omitempty"`
	Experimental  bool               `json:",omitempty"`
	BuildTime     string             `json:",omitempty"`
}

// PlatformInfo is the name of a product.
type PlatformInfo struct{ Name string }

// ComponentVersion is the version of a part of an engine.
type ComponentVersion struct {
	Name    string
	Version string
	Details map[string]string `json:",omitempty"`
}

// Info is what the engine has.
type Info struct {
	ID                  string
	Containers          int
	ContainersRunning   int
	ContainersPaused    int
	ContainersStopped   int
	Images              int
	Driver              string
	DriverStatus        [][2]string
	SystemStatus        [][2]string `json:",omitempty"`
	Plugins             PluginsInfo
	MemoryLimit         bool
	SwapLimit           bool
	CPUCfsPeriod        bool `json:"CpuCfsPeriod"`
	CPUCfsQuota         bool `json:"CpuCfsQuota"`
	CPUShares           bool
	CPUSet              bool
	PidsLimit           bool
	IPv4Forwarding      bool
	Debug               bool
	NFd                 int
	OomKillDisable      bool
	NGoroutines         int
	SystemTime          string
	LoggingDriver       string
	CgroupDriver        string
	CgroupVersion       string `json:",omitempty"`
	NEventsListener     int
	KernelVersion       string
	OperatingSystem     string
	OSVersion           string
	OSType              string
	Architecture        string
	IndexServerAddress  string
	RegistryConfig      *RegistryConfig
	NCPU                int
	MemTotal            int64
	GenericResources    []GenericResource
	DockerRootDir       string
	HTTPProxy           string `json:"HttpProxy"`
	HTTPSProxy          string `json:"HttpsProxy"`
	NoProxy             string
	Name                string
	Labels              []string
	ExperimentalBuild   bool
	ServerVersion       string
	Runtimes            map[string]RuntimeWithStatus
	DefaultRuntime      string
	Swarm               SwarmInfo
	LiveRestoreEnabled  bool
	Isolation           string // of Windows; moby's has methods, for which no template of ours has a use
	InitBinary          string
	ContainerdCommit    Commit
	RuncCommit          Commit
	InitCommit          Commit
	SecurityOptions     []string
	ProductLicense      string        `json:",omitempty"`
	DefaultAddressPools []AddressPool `json:",omitempty"`
	FirewallBackend     *FirewallInfo `json:",omitempty"`
	CDISpecDirs         []string
	DiscoveredDevices   []DeviceInfo    `json:",omitempty"`
	NRI                 *NRIInfo        `json:",omitempty"`
	Containerd          *ContainerdInfo `json:",omitempty"`
	Warnings            []string
}

// PluginsInfo names the plugins of each kind.
type PluginsInfo struct{ Volume, Network, Authorization, Log []string }

// RegistryConfig is what the engine knows about registries.
type RegistryConfig struct {
	InsecureRegistryCIDRs []netip.Prefix
	IndexConfigs          map[string]*IndexInfo
	Mirrors               []string
}

// IndexInfo is what it knows about one.
type IndexInfo struct {
	Name     string
	Mirrors  []string
	Secure   bool
	Official bool
}

// GenericResource is something of a machine that can be counted or named.
type GenericResource struct {
	NamedResourceSpec    *NamedResource    `json:",omitempty"`
	DiscreteResourceSpec *DiscreteResource `json:",omitempty"`
}

// NamedResource is a resource with a name.
type NamedResource struct {
	Kind  string `json:",omitempty"`
	Value string `json:",omitempty"`
}

// DiscreteResource is a number of equal resources.
type DiscreteResource struct {
	Kind  string `json:",omitempty"`
	Value int64  `json:",omitempty"`
}

// Runtime is a program that runs containers.
type Runtime struct {
	Path    string         `json:"path,omitempty"`
	Args    []string       `json:"runtimeArgs,omitempty"`
	Type    string         `json:"runtimeType,omitempty"`
	Options map[string]any `json:"options,omitempty"`
}

// RuntimeWithStatus is one with what is said about it.
type RuntimeWithStatus struct {
	Runtime
	Status map[string]string `json:"status,omitempty"`
}

// SwarmInfo is the engine's part in a cluster, which Brig's has none of; another engine's is passed on.
type SwarmInfo struct {
	NodeID           string
	NodeAddr         string
	LocalNodeState   string
	ControlAvailable bool
	Error            string
	RemoteManagers   []Peer
	Nodes            int            `json:",omitempty"`
	Managers         int            `json:",omitempty"`
	Cluster          map[string]any `json:",omitempty"` // as it comes
	Warnings         []string       `json:",omitempty"`
}

// Peer is another node of a cluster.
type Peer struct{ NodeID, Addr string }

// Commit is what a program was built from.
type Commit struct{ ID string }

// AddressPool is where networks get their subnets from.
type AddressPool struct {
	Base netip.Prefix
	Size int
}

// FirewallInfo is how the engine filters.
type FirewallInfo struct {
	Driver string
	Info   [][2]string `json:",omitempty"`
}

// DeviceInfo is a device that a driver has found.
type DeviceInfo struct{ Source, ID string }

// NRIInfo is the state of the interface for plugins of nodes.
type NRIInfo struct {
	Info [][2]string `json:",omitempty"`
}

// ContainerdInfo is the containerd that an engine uses.
type ContainerdInfo struct {
	Address    string `json:",omitempty"`
	Namespaces ContainerdNamespaces
}

// ContainerdNamespaces names its parts that belong to the engine.
type ContainerdNamespaces struct{ Containers, Plugins string }
