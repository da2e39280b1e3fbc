package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/brig-engine/brig/internal/daemon/cdi"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// testCDI has GPUs 0, 1 and all, and some that ask for too much.
func testCDI(name string) (*cdi.Found, error) {
	both := specs.ContainerEdits{Env: []string{"GPUS=" + name}}
	node := func(path string) specs.ContainerEdits {
		return specs.ContainerEdits{DeviceNodes: []*specs.DeviceNode{{Path: path}}}
	}
	known := map[string]specs.ContainerEdits{
		"nvidia.com/gpu=0": node("/dev/nvidia0"), "nvidia.com/gpu=1": node("/dev/nvidia1"),
		"nvidia.com/gpu=all": {DeviceNodes: []*specs.DeviceNode{{Path: "/dev/nvidia0", HostPath: "/dev/gpu/0", Permissions: "rw"}, {Path: "/dev/nvidia1"}},
			Mounts: []*specs.Mount{{HostPath: "/usr/lib/libcuda.so", ContainerPath: "/usr/lib/libcuda.so", Options: []string{"ro", "nosuid", "nodev", "rbind", "rprivate"}}}},
		"nvidia.com/gpu=hook":    {Hooks: []*specs.Hook{{HookName: "createContainer", Path: "/usr/bin/nvidia-cdi-hook"}}},
		"nvidia.com/gpu=edit":    {IntelRdt: &specs.IntelRdt{}},
		"vendor.com/x=net":       {NetDevices: []*specs.LinuxNetDevice{{HostInterfaceName: "eth0"}}},
		"vendor.com/x=gids":      {AdditionalGIDs: []uint32{0}},
		"vendor.com/x=writable":  {Mounts: []*specs.Mount{{HostPath: "/etc", ContainerPath: "/host"}}},
		"vendor.com/x=shared":    {Mounts: []*specs.Mount{{HostPath: "/etc", ContainerPath: "/host", Options: []string{"ro", "rshared"}}}},
		"vendor.com/x=proc":      {Mounts: []*specs.Mount{{HostPath: "/etc", ContainerPath: "/proc/x", Options: []string{"ro"}}}},
		"vendor.com/x=tmpfs":     {Mounts: []*specs.Mount{{HostPath: "tmpfs", ContainerPath: "/t", Type: "tmpfs", Options: []string{"ro"}}}},
		"vendor.com/x=block":     {DeviceNodes: []*specs.DeviceNode{{Path: "/dev/sda", Type: "b"}}},
		"vendor.com/x=number":    {DeviceNodes: []*specs.DeviceNode{{Path: "/dev/x", Major: 1, Minor: 1}}},
		"vendor.com/x=elsewhere": {DeviceNodes: []*specs.DeviceNode{{Path: "/x", HostPath: "/dev/x"}}},
		"vendor.com/x=nul":       {Env: []string{"A=b\x00c"}},
	}
	if e, ok := known[name]; ok {
		return &cdi.Found{File: "/etc/cdi/x.yaml", Edits: []specs.ContainerEdits{both, e}}, nil
	}
	return nil, fmt.Errorf("no specification in /etc/cdi or /var/run/cdi has the device %s: %w", name, errdefs.ErrNotFound)
}

func make1(t *testing.T, host string) (*Effective, error) {
	t.Helper()
	r, err := Decode([]byte(`{"Image":"i","HostConfig":{` + host + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.By = &rules.Caller{}
	return Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), CDI: testCDI})
}

func TestDevices(t *testing.T) {
	const r, rw = 2, 6
	for name, c := range map[string]struct {
		host    string
		devices []wire.Device
		env     string
	}{
		"a path":          {`"Devices":[{"PathOnHost":"/dev/snd","PathInContainer":"/dev/snd","CgroupPermissions":"rwm"}]`, []wire.Device{{Source: "/dev/snd", Target: "/dev/snd", Access: rw}}, ""},
		"another inside":  {`"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/snd","CgroupPermissions":"r"}]`, []wire.Device{{Source: "/dev/null", Target: "/dev/snd", Access: r}}, ""},
		"the same inside": {`"Devices":[{"PathOnHost":"/dev/net/tun"}]`, []wire.Device{{Source: "/dev/net/tun", Target: "/dev/net/tun", Access: rw}}, ""},
		"all GPUs": {`"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]`,
			[]wire.Device{{Source: "/dev/gpu/0", Target: "/dev/nvidia0", Access: rw}, {Source: "/dev/nvidia1", Target: "/dev/nvidia1", Access: rw}}, "GPUS=nvidia.com/gpu=all"},
		"two GPUs": {`"DeviceRequests":[{"Count":2,"Capabilities":[["gpu"]]}]`,
			[]wire.Device{{Source: "/dev/nvidia0", Target: "/dev/nvidia0", Access: rw}, {Source: "/dev/nvidia1", Target: "/dev/nvidia1", Access: rw}}, "GPUS=nvidia.com/gpu=1"},
		"a GPU": {`"DeviceRequests":[{"DeviceIDs":["1"],"Capabilities":[["gpu"]]}]`,
			[]wire.Device{{Source: "/dev/nvidia1", Target: "/dev/nvidia1", Access: rw}}, "GPUS=nvidia.com/gpu=1"},
		"by its name": {`"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["nvidia.com/gpu=0"]}]`,
			[]wire.Device{{Source: "/dev/nvidia0", Target: "/dev/nvidia0", Access: rw}}, "GPUS=nvidia.com/gpu=0"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := make1(t, c.host)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.devices, e.Spec.Devices); d != "" || !e.NeedsCaller {
				t.Errorf("needs a caller: %v\n%s", e.NeedsCaller, d)
			}
			if c.env != "" && !strings.Contains(strings.Join(e.Spec.Process.Env, "\n"), c.env) {
				t.Errorf("no %s in %q", c.env, e.Spec.Process.Env)
			}
			if name == "all GPUs" {
				want := wire.Mount{Kind: wire.MountBind, Source: "/usr/lib/libcuda.so", Target: "/usr/lib/libcuda.so", Exec: true, Recursive: true}
				if !slices.Contains(e.Spec.Mounts, want) {
					t.Errorf("%+v", e.Spec.Mounts)
				}
			}
		})
	}
}

func TestDevicesThatAreRefused(t *testing.T) {
	named := func(name string) string { return `"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["` + name + `"]}]` }
	for name, c := range map[string]struct{ host, want string }{
		"access":     {`"Devices":[{"PathOnHost":"/dev/a","CgroupPermissions":"x"}]`, "--device /dev/a:/dev/a:x: access is made of r, w and m"},
		"climbing":   {`"Devices":[{"PathOnHost":"/dev/../etc"}]`, "a device is /path/on/host"},
		"relative":   {`"Devices":[{"PathOnHost":"dev"}]`, "a device is /path/on/host"},
		"no GPU":     {`"DeviceRequests":[{"DeviceIDs":["7"],"Capabilities":[["gpu"]]}]`, "--gpus device=7,capabilities=gpu: no specification in /etc/cdi or /var/run/cdi has the device nvidia.com/gpu=7. Next: put a CDI"},
		"no device":  {named("vendor.com/x=y"), "--device vendor.com/x=y: no specification"},
		"many GPUs":  {`"DeviceRequests":[{"Count":2000000000,"Capabilities":[["gpu"]]}]`, "has the device nvidia.com/gpu=64"},
		"driver":     {`"DeviceRequests":[{"Driver":"amd","Count":1,"Capabilities":[["gpu"]]}]`, "--gpus driver=amd,1,capabilities=gpu: not supported: the driver is nvidia"},
		"all and 1":  {`"DeviceRequests":[{"Count":1,"DeviceIDs":["0"],"Capabilities":[["gpu"]]}]`, "is all, a number, or device=NAME"},
		"more":       {`"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["nvidia.com/gpu=0"],"Count":1}]`, "a CDI device has a name and nothing else"},
		"hook":       {named("nvidia.com/gpu=hook"), "--device nvidia.com/gpu=hook: /etc/cdi/x.yaml: createContainer /usr/bin/nvidia-cdi-hook: the rule no-hooks forbids it"},
		"rdt":        {named("nvidia.com/gpu=edit"), "x.yaml: intelRdt: not supported"},
		"interfaces": {named("vendor.com/x=net"), "x.yaml: netDevices: not supported"},
		"groups":     {named("vendor.com/x=gids"), "x.yaml: additionalGids: not supported"},
		"writable":   {named("vendor.com/x=writable"), "the mount on /host, which is not ro: not supported"},
		"shared":     {named("vendor.com/x=shared"), "rshared of the mount on /host: not supported"},
		"over /proc": {named("vendor.com/x=proc"), "--device /proc/x: the rule own-mounts forbids it"},
		"tmpfs":      {named("vendor.com/x=tmpfs"), "type of the mount on /t: not supported"},
		"a disk":     {named("vendor.com/x=block"), "type of /dev/sda: not supported"},
		"a number":   {named("vendor.com/x=number"), "major and minor of /dev/x: not supported"},
		"elsewhere":  {named("vendor.com/x=elsewhere"), "--device /dev/x:/x: not supported: device nodes are dead"},
		"a NUL":      {named("vendor.com/x=nul"), "a value cannot contain a NUL byte"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := make1(t, c.host); err == nil || !strings.Contains(err.Error(), c.want) || errdefs.IsNotFound(err) {
				t.Errorf("got %v, not %s", err, c.want)
			}
		})
	}
}
