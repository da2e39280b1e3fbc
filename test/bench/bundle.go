package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/brig-engine/brig/test/room"
)

// makeBundles writes dir/root and two bundles of it for an OCI runtime: dir/once runs true, dir/idle sleeps.
func makeBundles(dir, busybox string) error {
	root := filepath.Join(dir, "root")
	for _, d := range rootDirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "bin", room.IdleProgram), program, 0o755); err != nil {
		return err
	}
	for _, name := range rootLinks {
		if err := os.Symlink(room.IdleProgram, filepath.Join(root, "bin", name)); err != nil {
			return err
		}
	}
	for name, args := range map[string][]string{"once": {"true"}, "idle": {"sleep", sleep}} {
		spec, err := bundleSpec(root, args)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(spec, "", "\t")
		if err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name, "config.json"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// dockerCaps is what Docker leaves a container.
var dockerCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// bundleSpec is the container that Docker would make of the same command, without its network and its layers.
func bundleSpec(root string, args []string) (*specs.Spec, error) {
	memory, pids := int64(512<<20), int64(2048)
	s := &specs.Spec{
		Version: "1.0.2", Hostname: "bench",
		Root: &specs.Root{Path: root, Readonly: true},
		Process: &specs.Process{
			Args: args, Cwd: "/", Env: []string{"PATH=/bin"}, NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: dockerCaps, Effective: dockerCaps, Permitted: dockerCaps},
		},
		Linux: &specs.Linux{
			Resources: &specs.LinuxResources{
				Memory: &specs.LinuxMemory{Limit: &memory}, Pids: &specs.LinuxPids{Limit: &pids},
				Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
			},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace},
			},
			MaskedPaths: []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/sched_debug", "/proc/scsi", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	for _, m := range []struct{ at, kind, options string }{
		{"/proc", "proc", ""}, {"/dev", "tmpfs", "mode=755"}, {"/dev/pts", "devpts", "newinstance,ptmxmode=0666"},
		{"/dev/shm", "tmpfs", "mode=1777"}, {"/dev/mqueue", "mqueue", ""}, {"/sys", "sysfs", "ro"},
	} {
		options := []string{"nosuid", "noexec"}
		if m.options != "" {
			options = append(options, strings.Split(m.options, ",")...)
		}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: m.at, Type: m.kind, Source: m.kind, Options: options})
	}
	profile, err := seccomp.GetDefaultProfile(s)
	if err != nil {
		return nil, fmt.Errorf("Docker's seccomp profile: %w", err)
	}
	s.Linux.Seccomp = profile
	return s, nil
}

// timeGunzip is how long this machine needs to decompress a layer and drop the result: the floor of loading it.
func timeGunzip(path string) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	start := time.Now()
	r, err := gzip.NewReader(f)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, r)
	return time.Since(start), err
}
