package engineapi

import (
	"net/netip"

	"github.com/moby/moby/api/types/network"
)

// ExecCreateRequest asks for another program in a container.
type ExecCreateRequest struct {
	User         string
	Privileged   bool
	Tty          bool
	ConsoleSize  *[2]uint `json:",omitempty"` // rows, columns
	AttachStdin  bool
	AttachStderr bool
	AttachStdout bool
	DetachKeys   string
	Env          []string
	WorkingDir   string
	Cmd          []string
}

// ExecStartRequest asks for the start of that program.
type ExecStartRequest struct {
	Detach      bool
	Tty         bool
	ConsoleSize *[2]uint `json:",omitempty"`
}

// ExecInspectResponse tells how that program ended.
type ExecInspectResponse struct{ ExitCode *int }

// WaitCondition is what a request to wait waits for.
type WaitCondition string

// The conditions that the engine knows.
const (
	WaitConditionNotRunning WaitCondition = "not-running"
	WaitConditionNextExit   WaitCondition = "next-exit"
	WaitConditionRemoved    WaitCondition = "removed"
)

// WaitResponse tells how a container ended.
type WaitResponse struct {
	Error      *WaitExitError `json:",omitempty"`
	StatusCode int64
}

// WaitExitError is why the engine cannot tell.
type WaitExitError struct {
	Message string `json:",omitempty"`
}

// InspectResponse describes a container. `brig inspect` prints what the engine sent and does not use this.
type InspectResponse struct {
	ID              string `json:"Id"`
	State           *State
	HostConfig      *HostConfig
	Config          *Config
	NetworkSettings *NetworkSettings
}

// State is what a container is doing.
type State struct{ Running bool }

// NetworkSettings tells where the ports of a container are published.
type NetworkSettings struct{ Ports network.PortMap }

// TopResponse is a table of processes.
type TopResponse struct {
	Processes [][]string
	Titles    []string
}

// ContainerSummary is one container of a list.
type ContainerSummary struct {
	ID              string `json:"Id"`
	Names           []string
	Image           string
	Command         string
	Created         int64
	Ports           []PortSummary
	SizeRw          int64 `json:",omitempty"`
	SizeRootFs      int64 `json:",omitempty"`
	Labels          map[string]string
	State           string
	Status          string
	NetworkSettings *NetworkSettingsSummary
	HostConfig      struct {
		Annotations map[string]string `json:",omitempty"`
	}
	Mounts []MountPoint
}

// PortSummary is one port of a container in a list.
type PortSummary struct {
	IP          netip.Addr `json:",omitempty"`
	PrivatePort uint16
	PublicPort  uint16 `json:",omitempty"`
	Type        string
}

// NetworkSettingsSummary names the networks of a container in a list. What is known about each is not read.
type NetworkSettingsSummary struct{ Networks map[string]struct{} }

// MountPoint is one mount of a container in a list.
type MountPoint struct {
	Name   string `json:",omitempty"`
	Source string
	Driver string `json:",omitempty"`
}
