package container

import (
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// State is where a container is in its life; see the drawing in doc.go.
type State string

// The states. Removing is never written to disk: the record is gone by then.
const (
	Created  State = "created"
	Running  State = "running"
	Exited   State = "exited"
	Removing State = "removing"
)

// Record is what is kept on disk. What the pointers and slices lead to never changes after Create.
type Record struct {
	ID      string               `json:"id"`
	Name    string               `json:"name"`
	State   State                `json:"state"`
	Created time.Time            `json:"created"`
	ImageID string               `json:"imageID"`
	Config  container.Config     `json:"config"`
	Host    container.HostConfig `json:"host"`
	Spec    wire.Spec            `json:"spec"`
	Caller  bool                 `json:"caller,omitempty"`
	// Profile is the seccomp profile of the request; the warden may have forgotten what was made of it.
	Profile  string                 `json:"profile,omitempty"`
	Log      log.Options            `json:"log"`
	Volumes  []policy.VolumeUse     `json:"volumes,omitempty"`
	Mounts   []container.MountPoint `json:"mounts,omitempty"`
	Started  time.Time              `json:"started,omitzero"`
	Finished time.Time              `json:"finished,omitzero"`
	Exit     wire.Exit              `json:"exit"`
	// Error is why the last start failed.
	Error string `json:"error,omitempty"`
	// Touched: a container that has not been started yet has files all the same, since something was copied.
	Touched bool `json:"touched,omitempty"`
}

// View is a container as it is at one moment.
type View struct {
	Record
	// Run is what the warden told at the last start; zero unless the state is Running.
	Run   wire.Started
	Execs []string
}
