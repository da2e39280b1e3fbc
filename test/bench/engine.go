package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// engine is how one engine is asked for each thing. Command lines are words in which {dir} is the engine's directory on
// disk, {archive} the image being loaded, {image} a name and {id} a container. One that is empty cannot be asked for.
type engine struct {
	Name    string
	Program string   // its file is what the version is read from
	Needs   []string // other programs that must be there
	Newest  bool     // look at what was built from the module proxy first
	Plain   bool     // plan.Plain

	Daemon, Ready []string // a program that stays, and a command line that succeeds when it serves
	Open, Stop    []string // or: a command line that starts the daemon, and one that ends it
	Load          []string
	Once          []string // start true, wait for its end, remove
	Exec          []string // true, in {id}
	Idle, Remove  []string // start detached; remove by force
	Unload        []string // forget {image}
	Bundle        bool     // needs {dir}/once and {dir}/idle
	Bare          bool     // no engine: the yardstick
}

const sleep = "1000000"

// engines lists what is compared, in the order of the tables. cgroup is a control group of ours that peers build below.
func engines(bin, cgroup string) []engine {
	brig := filepath.Join(bin, "brig")
	podman := withClient(engine{
		Name: "podman", Program: "podman", Needs: []string{"conmon"}, Plain: true, // it runs crun
	}, []string{"podman", "--cgroup-manager", "cgroupfs", "--events-backend", "file"}, "--cgroup-parent", "/"+cgroup)
	podman.Remove = append(podman.Remove, "--time", "0") // it is polite first, for ten seconds
	return []engine{
		withClient(engine{
			Name: "brig", Program: brig,
			Open: []string{brig, "engine", "start", "--root", brigRoot("{dir}"), "--run", "/run/brig",
				"--socket", "/run/brig/s"},
			Stop: []string{brig, "engine", "stop", "--run", "/run/brig"},
		}, []string{brig, "--host", "unix:///run/brig/s"}),
		withClient(engine{
			Name: "docker.io", Program: "dockerd", Needs: []string{"docker", "containerd", "runc", "iptables"},
			Daemon: []string{"dockerd", "--cgroup-parent", "/" + cgroup, "--exec-opt", "native.cgroupdriver=cgroupfs"},
			Ready:  []string{"docker", "version"},
		}, []string{"docker"}),
		withClient(engine{
			Name: "moby", Program: "dockerd", Needs: []string{"docker", "containerd", "runc", "iptables"}, Newest: true,
			Daemon: []string{"dockerd", "--cgroup-parent", "/" + cgroup, "--exec-opt", "native.cgroupdriver=cgroupfs"},
			Ready:  []string{"docker", "version"},
		}, []string{"docker"}),
		podman,
		ociRuntime("runc", engine{Name: "runc"}),
		ociRuntime("runc", engine{Name: "runc newest", Newest: true}),
		ociRuntime("crun", engine{Name: "crun", Plain: true}),
		{Name: "no container", Program: "busybox", Bare: true, Once: []string{"{dir}/root/bin/busybox", "true"}},
	}
}

// brigRoot is Brig's --root, {dir}/brig.
func brigRoot(dir string) string { return filepath.Join(dir, "brig") }

// brigInstance is what Brig derives the names of its control groups from: its root directory.
func brigInstance(root string) string {
	sum := sha256.Sum256([]byte(root))
	return "brig-" + hex.EncodeToString(sum[:])[:6]
}

// withClient fills in what Docker, Podman and Brig are asked for with the same words. more goes into each start.
func withClient(e engine, client []string, more ...string) engine {
	say := func(words ...string) []string { return append(append([]string{}, client...), words...) }
	start := func(words ...string) []string { return append(append(say("run"), more...), words...) }
	e.Load = say("load", "-i", "{archive}")
	e.Once = start("--rm", "{image}", "true")
	e.Exec = say("exec", "{id}", "true")
	e.Idle = start("-d", "--name", "{id}", "{image}", "sleep", sleep)
	e.Remove = say("rm", "-f", "{id}")
	e.Unload = say("rmi", "-f", "{image}")
	return e
}

// ociRuntime fills in what an OCI runtime alone is asked for.
func ociRuntime(program string, e engine) engine {
	base := []string{program, "--root", "{dir}/state"}
	say := func(words ...string) []string { return append(append([]string{}, base...), words...) }
	e.Program, e.Bundle = program, true
	e.Once = say("run", "--bundle", "{dir}/once", "{id}")
	e.Exec = say("exec", "{id}", "true")
	e.Idle = say("run", "-d", "--bundle", "{dir}/idle", "{id}")
	e.Remove = say("delete", "-f", "{id}")
	return e
}

// fill replaces the placeholders of a command line, {id} aside: the agent counts those.
func fill(words []string, dir, archive, image string) []string {
	r := strings.NewReplacer("{dir}", dir, "{archive}", archive, "{image}", image)
	filled := make([]string, len(words))
	for i, w := range words {
		filled[i] = r.Replace(w)
	}
	return filled
}

// find looks for all programs of an engine and returns the file of the first.
func (e *engine) find(peers dirs) (file string, err error) {
	if e.Bare {
		return "", nil
	}
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

// builtVersion is the module version that a Go program was built as, or "".
func builtVersion(file string) string {
	info, err := buildinfo.ReadFile(file)
	if err != nil || info.Main.Version == "(devel)" || strings.Contains(info.Main.Version, "+") {
		return ""
	}
	return info.Main.Version
}

// saidVersion takes the version out of what a program prints: the first word of its first line that begins with a
// digit.
func saidVersion(text string) string {
	for word := range strings.FieldsSeq(firstLine(text)) {
		if word[0] >= '0' && word[0] <= '9' {
			return strings.TrimSuffix(word, ",")
		}
	}
	return "unknown"
}

// dirs are where peers come from: packages that were unpacked, programs that were built, or the machine itself.
type dirs struct{ packages, built string }

func peerDirs() (dirs, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return dirs{}, fmt.Errorf("place for the peers: %w", err)
	}
	base := filepath.Join(cache, "brig-bench")
	return dirs{packages: filepath.Join(base, "debian"), built: filepath.Join(base, "newest")}, nil
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// path is PATH in a room. The distribution's docker.io must not meet a newer client in /usr/local; a newer moby must.
func (d dirs) path(newest bool) string {
	if newest {
		return d.built + ":" + systemPath
	}
	return "/usr/sbin:/usr/bin:/sbin:/bin"
}

// tree is the directory to lay over the machine's /usr and /etc, if there is one.
func (d dirs) tree() string {
	if _, err := os.Stat(filepath.Join(d.packages, "usr")); err != nil {
		return ""
	}
	return d.packages
}

// look finds a program as a room will.
func (d dirs) look(name string, newest bool) (string, error) {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return name, err
	}
	for dir := range strings.SplitSeq(d.path(newest), ":") {
		candidates := []string{filepath.Join(dir, name)}
		if dir != d.built {
			candidates = []string{filepath.Join(d.packages, dir, name), candidates[0]}
		}
		for _, file := range candidates {
			if s, err := os.Stat(file); err == nil && s.Mode().IsRegular() && s.Mode()&0o111 != 0 {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}
