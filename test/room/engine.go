package room

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/cli/launch/groups"
)

// Engine is how one engine is found, started and stopped. Command lines are words in which {dir} is the engine's
// directory on disk.
type Engine struct {
	Name    string
	Program string   // its file is what the version is read from
	Needs   []string // other programs that must be there
	Newest  bool     // look at what was built from the module proxy first
	Plain   bool     // Plan.Plain

	Daemon, Ready []string // a program that stays, and a command line that succeeds when it serves
	Open, Stop    []string // or: a command line that starts the daemon, and one that ends it
	Socket        string   // where its API is, in the room
	Groups        []string // control groups outside that of the room which it leaves behind
	Parts         []string // programs that it is made of besides, with versions of their own
}

// Brig is the engine whose programs are in bin.
func Brig(bin string) Engine {
	brig := filepath.Join(bin, "brig")
	return Engine{
		Name: "brig", Program: brig, Socket: "/run/brig/s",
		Open: []string{brig, "engine", "start", "--root", BrigRoot("{dir}"), "--run", "/run/brig",
			"--socket", "/run/brig/s"},
		Stop: []string{brig, "engine", "stop", "--run", "/run/brig"},
	}
}

// DockerIO is Debian's Docker. Its containers are below cgroup, a control group of the caller's.
func DockerIO(cgroup string) Engine {
	return Engine{
		Name: "docker.io", Program: "dockerd", Needs: []string{"docker", "containerd", "runc", "iptables"},
		Daemon: []string{"dockerd", "--cgroup-parent", "/" + cgroup, "--exec-opt", "native.cgroupdriver=cgroupfs"},
		Ready:  []string{"docker", "version"}, Socket: "/run/docker.sock", Parts: []string{"containerd", "runc"},
	}
}

// Moby is the newest Docker engine that builds from the module proxy.
func Moby(cgroup string) Engine {
	e := DockerIO(cgroup)
	e.Name, e.Newest = "moby", true
	return e
}

// PodmanWords are those in front of every command of Podman: there is neither systemd nor its journal in a room.
var PodmanWords = []string{"podman", "--cgroup-manager", "cgroupfs", "--events-backend", "file"}

// Podman is Debian's Podman with the service that speaks Docker's API. Its containers have a control group of their
// own choice there.
func Podman() Engine {
	const socket = "/run/podman/podman.sock"
	// The directory is made by the unit of the socket where there is one.
	serve := "mkdir -p " + filepath.Dir(socket) + " && exec " + strings.Join(PodmanWords, " ") +
		" system service --time 0 unix://" + socket
	return Engine{
		Name: "podman", Program: "podman", Needs: []string{"conmon"}, Plain: true, // it runs crun
		Daemon: []string{"sh", "-c", serve},
		Ready:  []string{"test", "-S", socket}, Socket: socket, Groups: []string{"libpod_parent"},
		Parts: []string{"crun", "/usr/lib/podman/netavark"},
	}
}

// BrigRoot is Brig's --root, {dir}/brig.
func BrigRoot(dir string) string { return filepath.Join(dir, "brig") }

// BrigInstance is what Brig derives the names of its control groups from: its root directory.
func BrigInstance(root string) string { return groups.Instance(root) }

// Fill replaces the placeholders of a command line; pairs are names and values.
func Fill(words []string, pairs ...string) []string {
	r := strings.NewReplacer(pairs...)
	filled := make([]string, len(words))
	for i, w := range words {
		filled[i] = r.Replace(w)
	}
	return filled
}

// Find looks for all programs of an engine and returns the file of the first.
func (e *Engine) Find(peers Peers) (file string, err error) {
	for i, name := range append([]string{e.Program}, e.Needs...) {
		path, err := peers.look(name, e.Newest)
		if err != nil {
			return "", err
		}
		if i == 0 {
			file = path
		}
	}
	return file, nil
}

// OpenRoom makes the room of an engine, with its state in dir.
func (e *Engine) OpenRoom(ctx context.Context, peers Peers, p Plan) (*Room, error) {
	p.Plain = e.Plain
	if e.Name != "brig" {
		p.Tree = peers.Tree()
	}
	return Open(ctx, p, peers.Path(e.Newest))
}

// Version is the one in the program's file, or else what it says: only in the room does it find its libraries.
func (e *Engine) Version(r *Room, file string) (string, error) {
	if v := builtVersion(file); v != "" {
		return v, nil
	}
	return r.Version(e.Program)
}

// PartVersion is that of another program of the engine.
func (e *Engine) PartVersion(r *Room, peers Peers, part string) (string, error) {
	if file, err := peers.look(part, e.Newest); err == nil {
		if v := builtVersion(file); v != "" {
			return v, nil
		}
	}
	return r.Version(part)
}

// Version is what a program says of itself.
func (r *Room) Version(program string) (string, error) {
	a, err := r.Do(Job{Op: OpTime, Command: []string{program, "--version"}})
	return saidVersion(a.Output), err
}

// Serve starts the engine, if it is one that stays, and waits until it answers.
func (e *Engine) Serve(r *Room, dir string) error {
	if len(e.Open) > 0 {
		_, err := r.Do(Job{Op: OpTime, Command: Fill(e.Open, "{dir}", dir)})
		return err
	}
	if len(e.Daemon) == 0 {
		return nil
	}
	log := filepath.Join(dir, "log")
	if _, err := r.Do(Job{Op: OpDaemon, Command: Fill(e.Daemon, "{dir}", dir), Log: log}); err != nil {
		return err
	}
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if _, err = r.Do(Job{Op: OpTime, Command: e.Ready}); err == nil {
			return nil
		}
	}
	text, _ := os.ReadFile(log)
	return fmt.Errorf("no answer in 30 seconds: %w\n%s", err, text[max(0, len(text)-2000):])
}

// End stops an engine in the way that it wants to be stopped; what is left ends with the room.
func (e *Engine) End(r *Room) {
	if len(e.Stop) == 0 {
		return
	}
	if _, err := r.Do(Job{Op: OpTime, Command: e.Stop}); err != nil && !r.Cut {
		Note("%s does not stop: %v", e.Name, err)
	}
}
