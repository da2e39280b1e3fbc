package drill

import (
	"context"
	"io"
)

// Engine is a container engine under test: internal/drill/engineapi speaks to a real one, internal/drill/control is the
// one without defences.
type Engine interface {
	// Name is the heading of the engine's column.
	Name() string
	// Load hands over an image archive. A refusal is an error whose text is the engine's.
	Load(ctx context.Context, archive io.Reader) error
	// Pull has the engine fetch an image, by a full reference, from a registry that it is given a login for (the zero one:
	// none). A refusal is an error whose text is the engine's.
	Pull(ctx context.Context, reference string, login Login) error
	// Unload removes an image by name; one that is not there is no error.
	Unload(ctx context.Context, image string) error
	// HasImage says whether a container could be made from the name.
	HasImage(ctx context.Context, image string) (bool, error)
	// Start makes and starts a container with the engine's default options.
	Start(ctx context.Context, spec Spec) (Box, error)
	// Network is a path to the network namespace that the engine calls the host's ("/proc/123/ns/net"); "" is the
	// drill's own.
	Network(ctx context.Context) (string, error)
	// RemoveVolume removes a volume by name; one that is not there is no error.
	RemoveVolume(ctx context.Context, name string) error
	// API is the path, on the host, of the unix socket where the engine answers.
	API() string
	// Sockets are the paths of the engine's own control sockets, as a container might see them.
	Sockets() []string
}

// Spec is what a container of the drill may differ in. Everything else is default.
type Spec struct {
	Image  string
	Args   []string
	Env    []string // NAME=value
	Memory int64    // limit in bytes; 0: the engine's default
	Disk   int64    // bound of the writable layer in bytes; 0: the engine's default
	// Volume is where a new volume is mounted; "": none. VolumeSize bounds it; 0: the engine's default.
	Volume     string
	VolumeSize int64
	// Shared are volumes by name, made where there is none.
	Shared []SharedVolume
	// Sysctls are switches of the kernel to set for the container.
	Sysctls map[string]string
	Publish int    // TCP port to be reachable from the host's loopback; 0: none
	User    string // who the program runs as; "": as the image says
	WorkDir string // "": as the image says
	// Annotations of the request.
	Annotations map[string]string
}

// SharedVolume is a volume that several containers may have, and where this one has it.
type SharedVolume struct{ Name, Target string }

// Box is a started container.
type Box interface {
	// Wait returns the exit status.
	Wait(ctx context.Context) (int, error)
	// Output is what the program has written to standard output so far, at most 64 KiB.
	Output(ctx context.Context) ([]byte, error)
	// Exec runs a program in the container and returns its standard output.
	Exec(ctx context.Context, args ...string) ([]byte, error)
	// ExecDetached starts a program in the container and does not wait for it.
	ExecDetached(ctx context.Context, args ...string) error
	// ExecAs is Exec as a user.
	ExecAs(ctx context.Context, user string, args ...string) ([]byte, error)
	// CopyIn unpacks an archive, which may be compressed, in a directory of the container.
	CopyIn(ctx context.Context, dir string, archive io.Reader) error
	// CopyOut is an archive of a path of the container, at most 64 KiB of it.
	CopyOut(ctx context.Context, path string) ([]byte, error)
	// Info tells what the host knows of the running container.
	Info(ctx context.Context) (Info, error)
	// Remove stops and removes the container.
	Remove(ctx context.Context) error
}

// Info is what the host knows of a running container. What the engine does not say is zero.
type Info struct {
	ID        string
	PID       int    // on the host
	IP        string // IPv4 in the container
	Gateway   string
	Published string // address:port on the host that leads to Spec.Publish
	Log       string // path, on the host, of the file that keeps what the container prints; older ones have a longer name
}
