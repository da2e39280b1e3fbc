package api

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

func (s *Server) systemRoutes(mux *http.ServeMux) {
	mux.Handle("GET /_ping", handler(ping))
	mux.Handle("HEAD /_ping", handler(ping))
	mux.Handle("GET /version", handler(s.version))
	mux.Handle("GET /info", handler(s.info))
	mux.Handle("GET /metrics", handler(s.metricsPage))
	mux.Handle("GET /events", handler(s.events))
	mux.Handle("GET /system/df", handler(s.diskUsage))
	mux.Handle("POST /build/prune", handler(buildPrune))
}

func ping(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Builder-Version", "1")
	h.Set("Swarm", "inactive")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		h.Set("Content-Length", "0")
		return nil
	}
	_, _ = w.Write([]byte("OK")) // a client that went away is no error of ours
	return nil
}

func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// hostPlatform tells whether a client's platform is this host's: linux/amd64, or amd64, or linux.
func hostPlatform(p string) bool {
	p = strings.ToLower(p)
	return p == platform() || p == runtime.GOARCH || p == runtime.GOOS
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	details := map[string]string{"ApiVersion": MaxVersion, "MinAPIVersion": MinVersion, "Os": runtime.GOOS,
		"Arch": runtime.GOARCH, "GoVersion": runtime.Version(), "KernelVersion": kernel(), "Experimental": "false"}
	WriteJSON(w, http.StatusOK, system.VersionResponse{
		Platform: system.PlatformInfo{Name: "Brig"}, Version: wire.Version, APIVersion: MaxVersion, MinAPIVersion: MinVersion,
		Os: runtime.GOOS, Arch: runtime.GOARCH, GoVersion: runtime.Version(), KernelVersion: kernel(),
		Components: []system.ComponentVersion{{Name: "Engine", Version: wire.Version, Details: details}},
	})
	return nil
}

func (s *Server) info(w http.ResponseWriter, _ *http.Request) error {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	has := func(feature string) bool {
		return !slices.ContainsFunc(s.Hello.Missing, func(sentence string) bool { return strings.HasPrefix(sentence, feature+" ") })
	}
	i := system.Info{
		ID: s.Hello.Instance, Name: host, ServerVersion: wire.Version, Driver: driver, DriverStatus: [][2]string{},
		Plugins: system.PluginsInfo{Volume: []string{"local"}, Network: []string{"bridge", "null"},
			Log: log.Drivers()},
		MemoryLimit: has("memory"), SwapLimit: has("swap"), CPUCfsPeriod: has("cpu"), CPUCfsQuota: has("cpu"),
		CPUShares: has("cpu"), CPUSet: has("cpuset"), PidsLimit: has("pids"), IPv4Forwarding: s.Hello.NetworkError == "",
		Swarm: swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive}, OperatingSystem: distribution(),
		NGoroutines: runtime.NumGoroutine(), SystemTime: time.Now().Format(time.RFC3339Nano), LoggingDriver: log.DriverJSON,
		CgroupDriver: "cgroupfs", CgroupVersion: cgroupVersion(s.Hello.Hierarchies), NEventsListener: s.Bus.Count(),
		KernelVersion: kernel(), OSType: runtime.GOOS, Architecture: machine(), NCPU: s.Host.CPUs,
		MemTotal:      s.Host.MemoryTotal,
		DockerRootDir: s.Root, DefaultRuntime: cmp.Or(s.Host.Runtime, policy.BrigRuntime),
		LiveRestoreEnabled: true, SecurityOptions: s.securityOptions(),
		RegistryConfig:     &registry.ServiceConfig{},
		IndexServerAddress: "https://index.docker.io/v1/", Labels: []string{}, CDISpecDirs: []string{},
	}
	i.Runtimes = map[string]system.RuntimeWithStatus{policy.BrigRuntime: {}}
	if p, err := s.Engine.Policy(); err == nil {
		for name, words := range p.Runtimes {
			i.Runtimes[name] = system.RuntimeWithStatus{Runtime: system.Runtime{Path: words[0], Args: words[1:]}}
		}
	}
	if d := s.Host.Disk; d.Kind == "" {
		i.Warnings = append(i.Warnings, "WARNING: no bound for the disk space of containers and volumes: "+d.Why)
	} else {
		i.DriverStatus = append(i.DriverStatus, [2]string{"Disk bound", fmt.Sprintf("%s, %s for each container", d.Kind,
			units.BytesSize(float64(d.Container)))})
	}
	if s.ImageCount != nil {
		i.Images = s.ImageCount()
	}
	for _, m := range s.Hello.Missing {
		i.Warnings = append(i.Warnings, "WARNING: this host lacks "+m)
	}
	if e := s.Hello.NetworkError; e != "" {
		i.Warnings = append(i.Warnings, "WARNING: no network bridge: "+e)
	}
	for _, v := range s.Engine.List() {
		i.Containers++
		if v.State == container.Running && v.Paused {
			i.ContainersPaused++
		} else if v.State == container.Running {
			i.ContainersRunning++
		} else {
			i.ContainersStopped++
		}
	}
	WriteJSON(w, http.StatusOK, i)
	return nil
}

// securityOptions are what every container has by default, in Docker's form, with what is left of the kernel.
func (s *Server) securityOptions() []string {
	list := []string{fmt.Sprintf("name=seccomp,profile=builtin,calls=%d of %d,socket-families=%d", policy.SurfaceCalls,
		policy.SurfaceKnown, policy.SurfaceFamilies), "name=abi32,default=refused", "name=userns", "name=no-new-privileges", "name=cgroupns"}
	if s.Hello.AppArmor {
		list = append([]string{"name=apparmor"}, list...)
	}
	if s.Hello.SELinux {
		list = append([]string{"name=selinux"}, list...)
	}
	return list
}

// cgroupVersion is "1" where some controller is in a hierarchy of version 1, beside version 2.
func cgroupVersion(hierarchies []wire.Hierarchy) string {
	if len(hierarchies) > 1 {
		return "1"
	}
	return "2"
}

// distribution is the host's, as os-release(5) names it.
func distribution() string {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(name, `"'`)
			}
		}
	}
	return ""
}

func machine() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return runtime.GOARCH
	}
	return unix.ByteSliceToString(u.Machine[:])
}
