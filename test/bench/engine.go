package main

import (
	"path/filepath"

	"github.com/brig-engine/brig/test/room"
)

// engine is how one engine is asked for each thing. Command lines are words in which {dir} is the engine's directory on
// disk, {archive} the image being loaded, {image} a name and {id} a container. One that is empty cannot be asked for.
type engine struct {
	room.Engine

	Load         []string
	Once         []string // start true, wait for its end, remove
	Exec         []string // true, in {id}
	Idle, Remove []string // start detached; remove by force
	Unload       []string // forget {image}
	Many         []string // as Idle, of a program that writes a line first and ends at once when it is asked to
	Names, Stats []string // of all that run, a line each; what they use
	Logs         []string // of {id}
	Stop, Clear  []string // many ids follow: end them; remove them
	Back         string   // the program that is ended, and comes back while containers run
	Bundle       bool     // needs {dir}/once and {dir}/idle
	Bare         bool     // no engine: the yardstick
}

const sleep = "1000000"

// engines lists what is compared, in the order of the tables. cgroup is a control group of ours that peers build below.
func engines(bin, cgroup string) []engine {
	brig := room.Brig(bin)
	podman := withClient(room.Podman(), room.PodmanWords, "--cgroup-parent", "/"+cgroup)
	podman.Remove = append(podman.Remove, "--time", "0")       // it is polite first, for ten seconds
	podman.Daemon, podman.Ready, podman.Groups = nil, nil, nil // its command line needs no service
	ours := withClient(brig, []string{brig.Program, "--host", "unix://" + brig.Socket})
	ours.Back = "brigd"
	return []engine{
		ours,
		withClient(room.DockerIO(cgroup), []string{"docker"}),
		withClient(room.Moby(cgroup), []string{"docker"}),
		podman,
		ociRuntime(room.Engine{Name: "brig-oci", Program: filepath.Join(bin, "brig-oci")}),
		ociRuntime(room.Engine{Name: "runc", Program: "runc"}),
		ociRuntime(room.Engine{Name: "runc newest", Program: "runc", Newest: true}),
		ociRuntime(room.Engine{Name: "crun", Program: "crun", Plain: true}),
		{Engine: room.Engine{Name: "no container", Program: "busybox"}, Bare: true,
			Once: []string{"{dir}/root/bin/busybox", "true"}},
	}
}

// withClient fills in what Docker, Podman and Brig are asked for with the same words. more goes into each start.
func withClient(served room.Engine, client []string, more ...string) engine {
	e := engine{Engine: served}
	say := func(words ...string) []string { return append(append([]string{}, client...), words...) }
	start := func(words ...string) []string { return append(append(say("run"), more...), words...) }
	e.Load = say("load", "-i", "{archive}")
	e.Once = start("--rm", "{image}", "true")
	e.Exec = say("exec", "{id}", "true")
	e.Idle = start("-d", "--name", "{id}", "{image}", "sleep", sleep)
	e.Remove = say("rm", "-f", "{id}")
	e.Unload = say("rmi", "-f", "{image}")
	e.Many = start("-d", "--name", "{id}", "--stop-signal", "KILL", "{image}", "sh", "-c", "echo ready; exec sleep "+sleep)
	e.Names, e.Stats, e.Logs = say("ps", "-q"), say("stats", "--no-stream"), say("logs", "{id}")
	e.Stop, e.Clear = say("stop"), say("rm")
	return e
}

// ociRuntime fills in what an OCI runtime alone is asked for.
func ociRuntime(program room.Engine) engine {
	e := engine{Engine: program, Bundle: true}
	base := []string{program.Program, "--root", "{dir}/state"}
	say := func(words ...string) []string { return append(append([]string{}, base...), words...) }
	e.Once = say("run", "--bundle", "{dir}/once", "{id}")
	e.Exec = say("exec", "{id}", "true")
	e.Idle = say("run", "-d", "--bundle", "{dir}/idle", "{id}")
	e.Remove = say("delete", "-f", "{id}")
	return e
}

// fill replaces the placeholders of a command line, {id} aside: the agent counts those.
func fill(words []string, dir, archive, image string) []string {
	return room.Fill(words, "{dir}", dir, "{archive}", archive, "{image}", image)
}
