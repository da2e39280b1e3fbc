package drill

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An image's config is data of a stranger. These probes have one that speaks to the engine instead: labels that some
// engines act upon, variables that take from the engine's own environment, users and directories that mean something else.

// hostLabels are labels and annotations with which engines and runtimes of this world have run programs, or written files, as
// the host's root. %s is the path.
var hostLabels = []string{"containerd.io/logger=binary://%s", "io.containerd.log-uri=binary://%s", "nerdctl/log-uri=binary://%s",
	"nerdctl/log-config={\"driver\":\"binary\",\"address\":\"binary://%s\"}", "io.containerd.runc.v2.binary=%s", "run.oci.hooks.stderr=%s",
	"run.oci.hooks.stdout=%s", "org.systemd.property.ExecStartPre=['%s']", "io.podman.annotations.init=%s",
	"com.docker.plugin.exec=%s", "io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel=%s"}

// tryImageLabels starts a container of an image whose labels name a program of the host, whose environment names variables of
// the engine, and whose LD_PRELOAD names a library of the host for whatever program the engine runs.
func tryImageLabels(r *run) Verdict {
	dir, err := plantDir()
	if err != nil {
		return couldNot("plant a canary directory: %v", err)
	}
	defer dir.remove()
	program, mark, library := filepath.Join(dir.path, "run"), filepath.Join(dir.path, "executed"), filepath.Join(dir.path, "hook.so")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n: > "+mark+"\n"), 0o755); err != nil {
		return couldNot("%v", err)
	}
	if err := os.WriteFile(library, []byte("no library"), 0o755); err != nil {
		return couldNot("%v", err)
	}
	opened, stop, err := watchOpen(library, program)
	if err != nil {
		return couldNot("%v", err)
	}
	defer stop()
	labels, variables := map[string]string{}, []string{"PATH=/bin", "*", "BRIG*", "LD_PRELOAD=" + library, "LD_AUDIT=" + library}
	for _, l := range hostLabels {
		name, value, _ := strings.Cut(fmt.Sprintf(l, program), "=")
		labels[name] = value
	}
	engine := r.engineEnvironment()
	for name := range engine {
		variables = append(variables, name)
	}
	defer r.unfeed()
	if refusal := r.feedImage(map[string]any{"Labels": labels, "Env": variables}, func(*tar.Writer) {}); refusal != "" {
		return Verdict{Verdict: Blocked, Layer: "verification", Detail: "refused: " + refusal}
	}
	box, err := r.start(Spec{Image: poisonName, Args: []string{"/bin/env"}, Annotations: labels})
	if err != nil { // the annotations may be what it will not have
		box, err = r.start(Spec{Image: poisonName, Args: []string{"/bin/env"}})
	}
	if err != nil {
		return r.refused("", err)
	}
	defer r.remove(box)
	if _, err := box.Wait(r.ctx); err != nil {
		return couldNot("%v", err)
	}
	out, err := box.Output(r.ctx)
	if err != nil {
		return couldNot("%v", err)
	}
	time.Sleep(50 * time.Millisecond) // a program of the host may still be on its way
	if name := opened(); name != "" {
		return Verdict{Verdict: Exposed, Detail: "a program of the host opened what the image names: " + filepath.Base(name)}
	}
	if _, err := os.Stat(mark); err == nil {
		return Verdict{Verdict: Exposed, Detail: "the host executed the program that a label names"}
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if theirs, ok := engine[name]; ok && theirs == value && value != "" {
			return Verdict{Verdict: Exposed, Detail: "the container has the engine's " + name}
		}
	}
	return Verdict{Verdict: Blocked, Layer: "image config is data", Detail: fmt.Sprintf("%d labels and %d variables: the host did nothing",
		len(labels), len(variables))}
}

// engineEnvironment is what the engine's processes have in their environment and a container has not of its own.
func (r *run) engineEnvironment() map[string]string {
	found := map[string]string{}
	d, err := r.atEntrance()
	if err != nil {
		return found
	}
	for _, pid := range d.processes {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		for _, v := range strings.Split(string(text), "\x00") {
			name, value, ok := strings.Cut(v, "=")
			if ok && !strings.Contains(" PATH HOME HOSTNAME TERM container ", " "+name+" ") && len(found) < 100 {
				found[name] = value
			}
		}
	}
	return found
}

// watchOpen tells which of the files somebody has opened since.
func watchOpen(names ...string) (opened func() string, stop func(), err error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, nil, fmt.Errorf("watch the canary: %w", err)
	}
	byWatch := map[int32]string{}
	for _, name := range names {
		wd, err := unix.InotifyAddWatch(fd, name, unix.IN_OPEN)
		if err != nil {
			unix.Close(fd)
			return nil, nil, fmt.Errorf("watch the canary: %w", err)
		}
		byWatch[int32(wd)] = name
	}
	return func() string {
		var buf [unix.SizeofInotifyEvent * 8]byte
		if n, _ := unix.Read(fd, buf[:]); n < unix.SizeofInotifyEvent {
			return ""
		}
		wd := int32(uint32(buf[0]) | uint32(buf[1])<<8 | uint32(buf[2])<<16 | uint32(buf[3])<<24)
		return byWatch[wd]
	}, func() { unix.Close(fd) }, nil
}

// oddUsers are root, or in root's group, to an engine that reads numbers carelessly.
var oddUsers = []string{"4294967296", "4294967295", "-1", "18446744073709551616", "1000:4294967296", "0x0"}

// tryImageConfig has images with a user that wraps around to root, and with a working directory that leads to the host.
func tryImageConfig(r *run) Verdict {
	var all []Verdict
	for _, user := range oddUsers {
		all = append(all, r.oddUser(user))
	}
	q, dir, err := r.ownCanary()
	if err != nil {
		return couldNot("%v", err)
	}
	defer dir.remove()
	for _, work := range []string{dots + dir.path + "/made", "/" + dots + dir.path + "/made", "/tmp/../" + dots + dir.path + "/made", "/proc/1/root" + dir.path + "/made"} {
		v := q.fromImageOf(Spec{Args: []string{"/bin/id"}}, map[string]any{"WorkingDir": work}, func(*tar.Writer) {})
		if v.Verdict != Blocked { // it ran, and printed no verdict; the canary says where
			v = Verdict{Verdict: Blocked, Layer: "mount namespace", Detail: "a working directory that leads out stays inside"}
		}
		all = append(all, q.undisturbed(v))
	}
	return worstOf(all)
}

// oddUser runs id as the user that an image names.
func (r *run) oddUser(user string) Verdict {
	defer r.unfeed()
	if refusal := r.feedImage(map[string]any{"User": user}, func(*tar.Writer) {}); refusal != "" {
		return Verdict{Verdict: Blocked, Layer: "verification", Detail: "refused: " + refusal}
	}
	box, err := r.start(Spec{Image: poisonName, Args: []string{"/bin/id"}})
	if err != nil {
		return r.refused("", err)
	}
	defer r.remove(box)
	if _, err := box.Wait(r.ctx); err != nil {
		return couldNot("%v", err)
	}
	out, err := box.Output(r.ctx)
	who := firstLine(string(out))
	switch {
	case err != nil:
		return couldNot("%v", err)
	case strings.HasPrefix(who, "uid=0 ") || strings.HasPrefix(user, "1000:") && strings.Contains(who, "gid=0"):
		return Verdict{Verdict: Exposed, Detail: fmt.Sprintf("user %q of an image is %s", user, who)}
	}
	return Verdict{Verdict: Blocked, Layer: "policy", Detail: fmt.Sprintf("user %q of an image is %s", user, who)}
}
