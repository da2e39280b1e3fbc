package container

import (
	"fmt"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// State is where a container is in its life; see the drawing in doc.go.
type State string

// The states. Removing is never written to disk: the record is gone by then.
const (
	Created    State = "created"
	Running    State = "running"
	Restarting State = "restarting"
	Exited     State = "exited"
	Removing   State = "removing"
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
	// Profile is the seccomp profile of the request, which each start compiles.
	Profile  string                 `json:"profile,omitempty"`
	Log      log.Options            `json:"log"`
	Volumes  []policy.VolumeUse     `json:"volumes,omitempty"`
	Images   []string               `json:"images,omitempty"` // that are mounted, by their ids
	Mounts   []container.MountPoint `json:"mounts,omitempty"`
	Networks []network.Membership   `json:"networks"`
	// PortsTo has for each of Spec.Network.Ports the last port of the host that will do instead, or 0.
	PortsTo  []uint16  `json:"portsTo,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Exit     wire.Exit `json:"exit"`
	// Paused says that the processes were told to stand still. It is written before they are told so, and erased after
	// they were told to go on: in doubt they stand still again at the next start of brigd.
	Paused bool `json:"paused,omitempty"`
	// Brief: what it stands still for ends with the brigd that wrote this.
	Brief bool `json:"brief,omitempty"`
	// Undo is what the bounds were before an update that the kernel has not taken for certain.
	Undo *policy.Bounds `json:"undo,omitempty"`
	// Error is why the last start failed.
	Error string `json:"error,omitempty"`
	// Doomed: it is removed, with its anonymous volumes. What a crash leaves of them the next brigd removes.
	Doomed bool `json:"doomed,omitempty"`
	// Touched: a container that has not been started yet has files all the same, since something was copied.
	Touched bool `json:"touched,omitempty"`

	// RestartUnhealthy: it is restarted when its health checks have failed.
	RestartUnhealthy bool `json:"restartUnhealthy,omitempty"`
	// Restarts and Delay are counted by package restart. Due is when a container that is restarting starts.
	Restarts int           `json:"restarts,omitempty"`
	Delay    time.Duration `json:"delay,omitempty"`
	Due      time.Time     `json:"due,omitzero"`
	// Stopped: somebody has ended it, or has meant to. The next start by hand takes it back.
	Stopped bool `json:"stopped,omitempty"`
	// Owner is the user who started it last, if the warden has to know.
	Owner uint32 `json:"owner,omitempty"`
	// Calls are the system calls that it has made while it was recorded, up to the end of the last run.
	Calls []uint32 `json:"calls,omitempty"`
	// Health is replaced, never changed.
	Health *container.Health `json:"health,omitempty"`
}

// Status is the state in the API's words, which has one for a running container that is paused.
func (r *Record) Status() string {
	if r.State == Running && r.Paused {
		return "paused"
	}
	return string(r.State)
}

// OutOfMemory says, of a container that the kernel has ended for want of memory, which limit it met and how that is raised.
func (r *Record) OutOfMemory() string {
	if !r.Exit.OOMKilled {
		return ""
	}
	origin := "--memory"
	if r.Host.Memory == 0 {
		origin = "the default; --memory is another one"
	}
	next := "brig update --memory SIZE " + r.Name
	if r.Host.AutoRemove { // it is gone
		next = "a larger --memory"
	}
	return fmt.Sprintf("its programs met the limit of %s of memory (%s). Next: %s",
		units.BytesSize(float64(r.Spec.Resources.Memory)), origin, next)
}

// View is a container as it is at one moment.
type View struct {
	Record
	// Run is what the warden told at the last start; zero unless the state is Running.
	Run   wire.Started
	Execs []string
}
