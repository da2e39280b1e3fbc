package config

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxSize bounds each file that is read: the seccomp profile of an engine takes some 20 KiB.
const maxSize = 16 << 20

// Read reads the configuration of a bundle and refuses what brig-oci does not do.
func Read(bundle string) (*specs.Spec, error) {
	return read(filepath.Join(bundle, "config.json"), Check)
}

// ReadProcess reads the file of exec --process.
func ReadProcess(name string) (*specs.Process, error) { return read(name, CheckProcess) }

// ReadResources reads the file of update --resources; - is standard input.
func ReadResources(name string) (*specs.LinuxResources, error) {
	return read(name, func(*specs.LinuxResources) error { return nil })
}

func read[T any](name string, check func(*T) error) (*T, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		defer f.Close()
	}
	var v T
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(b) > maxSize {
		err = fmt.Errorf("more than %d bytes: %w", maxSize, unix.E2BIG)
	}
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err == nil {
		err = check(&v)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return &v, nil
}

// Check refuses what makes no sense and what brig-oci does not do, by the name of the field.
func Check(s *specs.Spec) error {
	switch {
	case !strings.HasPrefix(s.Version, "1."):
		return fmt.Errorf("ociVersion %q: brig-oci implements 1.0 to %s", s.Version, specs.Version)
	case s.Root == nil || s.Root.Path == "":
		return fmt.Errorf("root.path is missing")
	case s.Linux == nil:
		return fmt.Errorf("linux is missing")
	case s.Process == nil:
		return fmt.Errorf("process is missing")
	case s.VM != nil:
		return fmt.Errorf("vm: brig-oci starts no virtual machines")
	}
	if err := checkLinux(s.Linux); err != nil {
		return err
	}
	if s.Hostname != "" && !Has(s.Linux, specs.UTSNamespace) {
		return fmt.Errorf("hostname needs a uts namespace in linux.namespaces: it would change the host's")
	}
	if s.Domainname != "" && !Has(s.Linux, specs.UTSNamespace) {
		return fmt.Errorf("domainname needs a uts namespace in linux.namespaces: it would change the host's")
	}
	if err := checkHooks(s.Hooks); err != nil {
		return err
	}
	return CheckProcess(s.Process)
}

func checkLinux(l *specs.Linux) error {
	switch {
	case l.IntelRdt != nil:
		return fmt.Errorf("linux.intelRdt is not supported by brig-oci")
	case len(l.NetDevices) > 0:
		return fmt.Errorf("linux.netDevices is not supported by brig-oci: move the device into the namespace before")
	case l.MemoryPolicy != nil:
		return fmt.Errorf("linux.memoryPolicy is not supported by brig-oci")
	case !Has(l, specs.MountNamespace):
		return fmt.Errorf("linux.namespaces has no mount namespace: brig-oci mounts nothing into its caller's")
	case len(l.UIDMappings)+len(l.GIDMappings) > 0 && !Has(l, specs.UserNamespace):
		return fmt.Errorf("linux.uidMappings and linux.gidMappings need a user namespace in linux.namespaces")
	case len(l.TimeOffsets) > 0 && !Has(l, specs.TimeNamespace):
		return fmt.Errorf("linux.timeOffsets needs a time namespace in linux.namespaces")
	}
	seen := map[specs.LinuxNamespaceType]bool{}
	for _, n := range l.Namespaces {
		switch {
		case Flag(n.Type) == 0:
			return fmt.Errorf("linux.namespaces: unknown type %q", n.Type)
		case seen[n.Type]:
			return fmt.Errorf("linux.namespaces: %s is there twice", n.Type)
		case n.Path != "" && !filepath.IsAbs(n.Path):
			return fmt.Errorf("linux.namespaces: path %q of %s is not absolute", n.Path, n.Type)
		}
		seen[n.Type] = true
		if n.Type == specs.UserNamespace && n.Path == "" && (len(l.UIDMappings) == 0 || len(l.GIDMappings) == 0) {
			return fmt.Errorf("linux.namespaces: a new user namespace needs linux.uidMappings and linux.gidMappings")
		}
	}
	if _, _, err := Propagation(l.RootfsPropagation); err != nil {
		return fmt.Errorf("linux.rootfsPropagation: %w", err)
	}
	return checkSysctl(l)
}

// checkSysctl lets through what belongs to a namespace of the container; anything else would be the host's.
func checkSysctl(l *specs.Linux) error {
	for name := range l.Sysctl {
		key := strings.ReplaceAll(name, "/", ".")
		var needs specs.LinuxNamespaceType
		switch {
		case strings.HasPrefix(key, "net."):
			needs = specs.NetworkNamespace
		case key == "kernel.domainname" || key == "kernel.hostname":
			needs = specs.UTSNamespace
		case strings.HasPrefix(key, "fs.mqueue."), strings.HasPrefix(key, "kernel.msg"), strings.HasPrefix(key, "kernel.shm"),
			key == "kernel.sem", key == "kernel.sem_next_id":
			needs = specs.IPCNamespace
		default:
			return fmt.Errorf("linux.sysctl: %s belongs to no namespace: it would be set for the whole host", name)
		}
		if strings.Contains(key, "..") || !Has(l, needs) {
			return fmt.Errorf("linux.sysctl: %s needs a %s namespace in linux.namespaces", name, needs)
		}
	}
	return nil
}

func checkHooks(h *specs.Hooks) error {
	if h == nil {
		return nil
	}
	for name, list := range map[string][]specs.Hook{"prestart": h.Prestart, "createRuntime": h.CreateRuntime,
		"createContainer": h.CreateContainer, "startContainer": h.StartContainer, "poststart": h.Poststart,
		"poststop": h.Poststop} {
		for _, hook := range list {
			switch {
			case !filepath.IsAbs(hook.Path):
				return fmt.Errorf("hooks.%s: path %q is not absolute", name, hook.Path)
			case hook.Timeout != nil && *hook.Timeout <= 0:
				return fmt.Errorf("hooks.%s: timeout %d is not positive", name, *hook.Timeout)
			}
		}
	}
	return nil
}

// CheckProcess is Check for one process.
func CheckProcess(p *specs.Process) error {
	switch {
	case len(p.Args) == 0 || p.Args[0] == "":
		return fmt.Errorf("process.args: there is no program to execute")
	case !filepath.IsAbs(p.Cwd):
		return fmt.Errorf("process.cwd: %q is not absolute", p.Cwd)
	case p.User.Umask != nil && *p.User.Umask > 0o777:
		return fmt.Errorf("process.user.umask: %#o is above 0777", *p.User.Umask)
	}
	for _, s := range append(append([]string{p.Cwd}, p.Args...), p.Env...) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("process: arguments and environment cannot hold a zero byte")
		}
	}
	seen := map[string]bool{}
	for _, l := range p.Rlimits {
		if _, ok := rlimits[l.Type]; !ok {
			return fmt.Errorf("process.rlimits: unknown type %q", l.Type)
		}
		if seen[l.Type] || l.Soft > l.Hard {
			return fmt.Errorf("process.rlimits: %s is there twice, or its soft limit is above the hard one", l.Type)
		}
		seen[l.Type] = true
	}
	if a := p.OOMScoreAdj; a != nil && (*a < -1000 || *a > 1000) {
		return fmt.Errorf("process.oomScoreAdj: %d is not from -1000 to 1000", *a)
	}
	return nil
}
