package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/brig-engine/brig/internal/daemon/cdi"
	"github.com/brig-engine/brig/internal/wire"
)

// devices are what a request asks for with --device and --gpus, and what a CDI specification makes of that.
type devices struct {
	*collector
	list   []wire.Device
	mounts []wire.Mount
	env    []string
}

func (c *collector) devices(in Input) *devices {
	d := &devices{collector: c}
	h := &in.Request.Host
	for _, x := range h.Devices {
		to := x.PathInContainer
		if to == "" {
			to = x.PathOnHost
		}
		d.device("--device", x.PathOnHost, to, x.CgroupPermissions)
	}
	for i := range h.DeviceRequests {
		d.request(in, &h.DeviceRequests[i])
	}
	return d
}

// device is one of the host's, or a directory of them. Access "" is everything.
func (d *devices) device(option, from, to, access string) {
	value := strings.TrimRight(from+":"+to+":"+access, ":")
	w := wire.Device{Source: path.Clean(from), Target: path.Clean(to)}
	for _, letter := range access {
		bit, ok := map[rune]uint32{'r': unix.BPF_DEVCG_ACC_READ, 'w': unix.BPF_DEVCG_ACC_WRITE, 'm': 0}[letter]
		if !ok {
			d.invalid(option, value, "access is made of r, w and m")
			return
		}
		w.Access |= bit
	}
	switch {
	case access == "":
		w.Access = unix.BPF_DEVCG_ACC_READ | unix.BPF_DEVCG_ACC_WRITE
	case w.Access == 0:
		d.refuseAs(option, "HostConfig.Devices=m", value)
		return
	}
	switch {
	case !path.IsAbs(from) || !path.IsAbs(to) || strings.ContainsAny(value, "\x00\n") ||
		slices.Contains(strings.Split(from+"/"+to, "/"), ".."):
		d.invalid(option, value, "a device is /path/on/host[:/path/inside[:rwm]]")
	case !strings.HasPrefix(w.Target, "/dev/") || len(w.Target) > 255:
		d.refuseAs(option, "HostConfig.Devices=TARGET", value)
	default:
		d.list = append(d.list, w)
	}
}

// gpuKind is the kind of the devices that --gpus is about: those of the one driver that Docker knows.
const gpuKind = "nvidia.com/gpu"

// request is --gpus, or the name of a CDI device that was given to --device.
func (d *devices) request(in Input, r *container.DeviceRequest) {
	if r.Driver == "cdi" {
		if r.Count != 0 || len(r.Capabilities) > 0 || len(r.Options) > 0 {
			d.invalid("--device", gpus(r), "a CDI device has a name and nothing else")
			return
		}
		for _, name := range r.DeviceIDs {
			d.cdi(in, "--device", name, name)
		}
		return
	}
	value := gpus(r)
	other := slices.ContainsFunc(r.Capabilities, func(all []string) bool { return len(all) != 1 || all[0] != "gpu" })
	switch {
	case r.Driver != "" && r.Driver != "nvidia" || len(r.Capabilities) != 1 || other:
		d.refuse(true, "HostConfig.DeviceRequests=OTHER", value)
	case len(r.Options) > 0:
		d.refuse(true, "HostConfig.DeviceRequests[].Options", value)
	case r.Count != 0 && len(r.DeviceIDs) > 0 || r.Count < -1:
		d.invalid("--gpus", value, "is all, a number, or device=NAME")
	case r.Count == -1:
		d.cdi(in, "--gpus", value, gpuKind+"=all")
	default:
		for i := range min(r.Count, maxGPUs+1) {
			d.cdi(in, "--gpus", value, fmt.Sprintf("%s=%d", gpuKind, i))
		}
		for _, id := range r.DeviceIDs {
			if !strings.Contains(id, "=") {
				id = gpuKind + "=" + id
			}
			d.cdi(in, "--gpus", value, id)
		}
	}
}

// maxGPUs is far more than a machine has.
const maxGPUs = 64

// cdi does what the specification of a device says, as far as that is on the list of what one may say.
func (d *devices) cdi(in Input, option, value, name string) {
	if in.CDI == nil {
		in.CDI = func(string) (*cdi.Found, error) { return nil, errdefs.ErrNotFound }
	}
	found, err := in.CDI(name)
	if err != nil {
		d.invalid(option, value, "%v. Next: put a CDI specification of it there, as nvidia-ctk cdi generate writes one for GPUs (a directory "+
			"that was made after the engine has started is seen when it is started again)", trimClass(err))
		return
	}
	for i := range found.Edits {
		d.edit(option, name, found.File, &found.Edits[i])
	}
}

func trimClass(err error) string {
	return strings.ReplaceAll(err.Error(), ": "+errdefs.ErrNotFound.Error(), "")
}

// edit carries out what a specification may say, and refuses the rest by name.
func (d *devices) edit(option, name, file string, e *specs.ContainerEdits) {
	for _, h := range e.Hooks {
		d.refuseAs(option, "HostConfig.DeviceRequests=HOOK", fmt.Sprintf("%s: %s: %s %s", name, file, h.HookName, h.Path))
	}
	d.unlisted(option, name, file, e.IntelRdt != nil, "intelRdt")
	d.unlisted(option, name, file, len(e.NetDevices) > 0, "netDevices")
	d.unlisted(option, name, file, len(e.AdditionalGIDs) > 0, "additionalGids")
	d.env = d.overlayEnv(d.env, e.Env)
	for _, n := range e.DeviceNodes {
		from := n.HostPath
		if from == "" {
			from = n.Path
		}
		d.unlisted(option, name, file, n.Type != "" && n.Type != "c" && n.Type != "u", "type of "+n.Path)
		d.unlisted(option, name, file, n.Major != 0 || n.Minor != 0, "major and minor of "+n.Path)
		d.unlisted(option, name, file, n.FileMode != nil || n.UID != nil || n.GID != nil, "fileMode, uid and gid of "+n.Path)
		d.device(option, from, n.Path, n.Permissions)
	}
	for _, m := range e.Mounts {
		d.mount(option, name, file, m)
	}
}

// unlisted refuses a part of a specification.
func (d *devices) unlisted(option, name, file string, there bool, what string) {
	if there {
		d.refuseAs(option, "HostConfig.DeviceRequests=EDIT", name+": "+file+": "+what)
	}
}

// mount is a part of the host for reading: libraries of a driver, its sockets' directory.
func (d *devices) mount(option, name, file string, m *specs.Mount) {
	w := wire.Mount{Source: m.HostPath, Target: m.ContainerPath, Exec: true}
	d.unlisted(option, name, file, m.Type != "" && m.Type != "bind" && m.Type != "none", "type of the mount on "+m.ContainerPath)
	writable := true
	for _, o := range m.Options {
		switch o {
		case "ro":
			writable = false
		case "rbind":
			w.Recursive = true
		case "noexec":
			w.Exec = false
		case "bind", "nosuid", "nodev", "private", "rprivate":
		default:
			d.unlisted(option, name, file, true, o+" of the mount on "+m.ContainerPath)
		}
	}
	d.unlisted(option, name, file, writable, "the mount on "+m.ContainerPath+", which is not ro")
	d.mounts = append(d.mounts, w)
}
