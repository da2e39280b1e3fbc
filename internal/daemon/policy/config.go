package policy

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/daemon/policy/compat"
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
	out.Healthcheck = c.healthcheck(req.Healthcheck, img.Healthcheck)
	if len(out.Shell) == 0 {
		out.Shell = img.Shell // a health check of one line is run by it
	}
	return out
}

// unsupported refuses by name every option of a request that no builder reads.
func (c *collector) unsupported(r *Request) {
	cfg, h := &r.Config, &r.Host
	c.refuse(cfg.ArgsEscaped, "ArgsEscaped", "")
	c.refuse(len(cfg.OnBuild) > 0, "OnBuild", strings.Join(cfg.OnBuild, "; "))
	c.refuse(r.legacy.MacAddress != "", "MacAddress", r.legacy.MacAddress)
	c.refuse(len(r.legacy.VolumesFrom) > 0, "VolumesFrom", strings.Join(r.legacy.VolumesFrom, ","))
	c.refuse(r.legacy.KernelMemory != 0, "HostConfig.KernelMemory", decimal(r.legacy.KernelMemory))
	c.refuse(r.legacy.KernelMemoryTCP != 0, "HostConfig.KernelMemoryTCP", decimal(r.legacy.KernelMemoryTCP))
	c.refuse(len(r.legacy.Capabilities) > 0, "HostConfig.Capabilities", strings.Join(r.legacy.Capabilities, ","))
	c.refuse(h.Privileged, "HostConfig.Privileged", "")
	c.restart(h)
	c.refuse(h.CgroupParent != "", "HostConfig.CgroupParent", h.CgroupParent)
	c.refuse(h.Cgroup != "", "HostConfig.Cgroup", string(h.Cgroup))
	c.refuse(!h.Isolation.IsDefault(), "HostConfig.Isolation", string(h.Isolation))
	c.refuse(len(h.DeviceCgroupRules) > 0, "HostConfig.DeviceCgroupRules", strings.Join(h.DeviceCgroupRules, ","))
	c.namespaces(h)
}

// gpus writes a device request as --gpus reads it.
func gpus(d *container.DeviceRequest) string {
	var out []string
	if d.Driver != "" {
		out = append(out, "driver="+d.Driver)
	}
	if d.Count == -1 {
		out = append(out, "all")
	} else if d.Count != 0 {
		out = append(out, strconv.Itoa(d.Count))
	}
	for _, id := range d.DeviceIDs {
		out = append(out, "device="+id)
	}
	for _, all := range d.Capabilities {
		out = append(out, "capabilities="+strings.Join(all, "+"))
	}
	if len(d.Options) > 0 {
		out = append(out, pairs(d.Options))
	}
	return strings.Join(out, ",")
}

// namespaces: a container has its own of each kind, or another one's (see join), never the host's.
func (c *collector) namespaces(h *container.HostConfig) {
	for _, n := range []struct {
		field, value string
		host         string // the key of the value host
	}{
		{"HostConfig.IpcMode", string(h.IpcMode), "HostConfig.IpcMode=host"},
		{"HostConfig.PidMode", string(h.PidMode), "HostConfig.PidMode"},
		{"HostConfig.UTSMode", string(h.UTSMode), "HostConfig.UTSMode"},
		{"HostConfig.UsernsMode", string(h.UsernsMode), "HostConfig.UsernsMode"},
		{"HostConfig.CgroupnsMode", string(h.CgroupnsMode), "HostConfig.CgroupnsMode=host"},
	} {
		ipc := n.field == "HostConfig.IpcMode"
		name, joins := strings.CutPrefix(n.value, "container:")
		switch {
		case n.value == "" || n.value == "private" || ipc && (h.IpcMode.IsShareable() || h.IpcMode.IsNone()):
		case n.value == "host":
			c.refuse(true, n.host, "host")
		case joins && name != "" && (ipc || n.field == "HostConfig.PidMode"):
		default:
			e, _ := compat.Lookup(n.field)
			c.invalid(e.Option(), n.value, "there is no mode of this name; private is what every container has")
		}
	}
}

// annotations: those that begin with brig. are options; all others are kept for others to read.
func (c *collector) annotations(a map[string]string) {
	for _, k := range sortedKeys(a) {
		if !strings.HasPrefix(k, "brig.") {
			continue
		}
		c.refuse(k != LevelAnnotation && k != RecordAnnotation, "HostConfig.Annotations=brig.NAME", k+"="+a[k])
		if k == RecordAnnotation && a[k] != "true" && a[k] != "false" {
			c.invalid("--record, --annotation "+RecordAnnotation, a[k], "it is true or false")
		}
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

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
