package policy

import (
	"maps"
	"slices"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// merge lays the request's config over the image's, as inspect shows it afterwards. What an image may say is listed
// here; nothing else of its config is read.
func (c *collector) merge(req *container.Config, img *dockerspec.DockerOCIImageConfig) container.Config {
	out := *req
	if out.User == "" {
		out.User = img.User
	}
	if out.WorkingDir == "" {
		out.WorkingDir = img.WorkingDir
	}
	out.Env = c.mergeEnv(img.Env, req.Env)
	// [""] is how a client says: no entry point at all.
	if len(req.Entrypoint) == 0 {
		if len(req.Cmd) == 0 {
			out.Cmd = img.Cmd
		}
		if req.Entrypoint == nil {
			out.Entrypoint = img.Entrypoint
		}
	} else if len(req.Entrypoint) == 1 && req.Entrypoint[0] == "" {
		out.Entrypoint = nil
	}
	out.Labels = maps.Clone(img.Labels)
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	maps.Copy(out.Labels, req.Labels)
	for _, s := range sortedKeys(img.ExposedPorts) {
		p, err := network.ParsePort(s)
		if err != nil || p.Num() == 0 {
			continue
		}
		if out.ExposedPorts == nil {
			out.ExposedPorts = network.PortSet{}
		}
		out.ExposedPorts[p] = struct{}{}
	}
	if out.StopSignal == "" {
		if _, err := ParseSignal(img.StopSignal); err == nil {
			out.StopSignal = img.StopSignal
		}
	}
	if h := img.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" && req.Healthcheck == nil {
		c.warn("the image has a HEALTHCHECK; this version of Brig does not run it")
	}
	return out
}

// unsupported refuses by name every option of a request that no builder reads.
func (c *collector) unsupported(r *Request) {
	cfg, h := &r.Config, &r.Host
	if hc := cfg.Healthcheck; hc != nil {
		none := len(hc.Test) == 1 && hc.Test[0] == "NONE"
		c.missing(!none, "--health-cmd", strings.Join(hc.Test, " "))
	}
	c.missing(cfg.ArgsEscaped, "ArgsEscaped", "")
	c.missing(len(cfg.OnBuild) > 0, "OnBuild", strings.Join(cfg.OnBuild, "; "))
	c.missing(r.legacy.MacAddress != "", "--mac-address", r.legacy.MacAddress)
	c.missing(r.legacy.KernelMemory != 0, "--kernel-memory", "")
	c.missing(r.legacy.KernelMemoryTCP != 0, "KernelMemoryTCP", "")
	c.missing(len(r.legacy.Capabilities) > 0, "Capabilities", "")
	if h.Privileged {
		c.forbid("--privileged", "", "the rule no-privileged forbids it: the container would own the host",
			"add the single capabilities it needs with --cap-add")
	}
	c.missing(!h.RestartPolicy.IsNone(), "--restart", string(h.RestartPolicy.Name))
	c.missing(h.RestartPolicy.IsNone() && h.RestartPolicy.MaximumRetryCount != 0, "--restart", "no with a count")
	c.missing(len(h.VolumesFrom) > 0, "--volumes-from", strings.Join(h.VolumesFrom, ","))
	c.missing(len(h.StorageOpt) > 0, "--storage-opt", pairs(h.StorageOpt))
	c.missing(h.CgroupParent != "", "--cgroup-parent", h.CgroupParent)
	c.missing(h.Cgroup != "", "Cgroup", string(h.Cgroup))
	c.missing(h.Runtime != "" && h.Runtime != "brig", "--runtime", h.Runtime)
	c.missing(!h.Isolation.IsDefault(), "--isolation", string(h.Isolation))
	for _, d := range h.Devices {
		c.missing(true, "--device", strings.TrimRight(d.PathOnHost+":"+d.PathInContainer+":"+d.CgroupPermissions, ":"))
	}
	c.missing(len(h.DeviceCgroupRules) > 0, "--device-cgroup-rule", strings.Join(h.DeviceCgroupRules, ","))
	c.missing(len(h.DeviceRequests) > 0, "--gpus", "")
	c.namespaces(h)
}

// namespaces: every container has its own of each kind.
func (c *collector) namespaces(h *container.HostConfig) {
	for _, n := range []struct{ option, value, own string }{
		{"--ipc", string(h.IpcMode), "private"}, {"--pid", string(h.PidMode), "private"},
		{"--uts", string(h.UTSMode), "private"}, {"--userns", string(h.UsernsMode), "private"},
		{"--cgroupns", string(h.CgroupnsMode), "private"},
	} {
		switch n.value {
		case "", n.own:
		case "host":
			c.forbid(n.option, "host", "the container would share the host's namespace", "leave it out")
		default:
			c.missing(true, n.option, n.value)
		}
	}
}

// annotations: those that begin with brig. are options; all others are kept for others to read.
func (c *collector) annotations(a map[string]string) {
	for _, k := range sortedKeys(a) {
		if !strings.HasPrefix(k, "brig.") {
			continue
		}
		c.missing(k != "brig.level" || a[k] != "standard", "--annotation", k+"="+a[k])
	}
}

// pairs writes options as they were given: a=b,c=d.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
