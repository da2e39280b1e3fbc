package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// testOwner knows x, whose IPC can be joined, and y, whose cannot.
func testOwner(ref string) (*Owner, error) {
	if ref != "x" && ref != "y" && ref != strings.Repeat("d", 64) {
		return nil, fmt.Errorf("No such container: %s: %w", ref, errdefs.ErrNotFound)
	}
	if ref == "y" {
		return &Owner{ID: strings.Repeat("e", 64), Hostname: "why"}, nil
	}
	return &Owner{ID: strings.Repeat("d", 64), Hostname: "ex", Domainname: "example", ShareableIPC: true}, nil
}

func join(t *testing.T, body string) (*Effective, error) {
	t.Helper()
	r, err := Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	host := testHost()
	return Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: host, Networks: testNetworks, Owner: testOwner})
}

func TestAContainerJoinsAnotherByItsID(t *testing.T) {
	e, err := join(t, `{"Image":"i","HostConfig":{"NetworkMode":"container:x","IpcMode":"container:x","PidMode":"container:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"},
		"NetworkingConfig":{"EndpointsConfig":{"container:x":{}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("d", 64)
	if j := e.Spec.Join; j.Container != id || j.Namespaces != unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWPID {
		t.Errorf("%+v", j)
	}
	h := e.HostConf
	if string(h.NetworkMode) != "container:"+id || string(h.IpcMode) != "container:"+id || string(h.PidMode) != "container:"+id {
		t.Errorf("%s %s %s", h.NetworkMode, h.IpcMode, h.PidMode)
	}
	if e.Spec.Hostname != "ex" || e.Spec.Domainname != "example" || e.Config.Hostname != "ex" || len(e.Spec.Files) != 0 {
		t.Errorf("the names are not the owner's: %q %q, %d files", e.Spec.Hostname, e.Spec.Domainname, len(e.Spec.Files))
	}
	if e.Networks == nil || len(e.Networks) != 0 {
		t.Errorf("it is in networks of its own: %v", e.Networks)
	}
}

func TestWhoJoinsHasNothingOfItsOwnThere(t *testing.T) {
	with := func(config, host string) string {
		return fmt.Sprintf(`{"Image":"i"%s,"HostConfig":{"NetworkMode":"container:x"%s}}`, config, host)
	}
	for name, c := range map[string]struct{ body, want string }{
		"hostname":          {with(`,"Hostname":"h"`, ""), "-h: conflicting options: hostname and the network mode"},
		"domainname":        {with(`,"Domainname":"h"`, ""), "--domainname: conflicting options: hostname and the network mode"},
		"ports":             {with("", `,"PortBindings":{"80/tcp":[{}]}`), "-p: conflicting options: port publishing and the container type network mode"},
		"all ports":         {with("", `,"PublishAllPorts":true`), "-p: conflicting options: port publishing and the container type network mode"},
		"exposed":           {with(`,"ExposedPorts":{"80/tcp":{}}`, ""), "--expose: conflicting options: port exposing and the container type network mode"},
		"dns":               {with("", `,"Dns":["10.0.0.1"]`), "--dns: conflicting options: dns and the network mode"},
		"hosts":             {with("", `,"ExtraHosts":["a:1.2.3.4"]`), "--add-host: conflicting options: custom host-to-IP mapping and the network mode"},
		"links":             {with("", `,"Links":["a:b"]`), "--link: conflicting options: container type network can't be used with links"},
		"mac":               {with(`,"MacAddress":"02:00:00:00:00:01"`, ""), "--mac-address: conflicting options: mac-address and the network mode"},
		"sysctl":            {with("", `,"Sysctls":{"net.ipv4.ip_forward":"1"}`), "--sysctl net.ipv4.ip_forward: the container has no network of its own"},
		"another network":   {`{"Image":"i","HostConfig":{"NetworkMode":"container:x"},"NetworkingConfig":{"EndpointsConfig":{"front":{}}}}`, "cannot be connected to any other network"},
		"an address":        {`{"Image":"i","HostConfig":{"NetworkMode":"container:x"},"NetworkingConfig":{"EndpointsConfig":{"container:x":{"IPAMConfig":{"IPv4Address":"10.0.0.9"}}}}}`, "--ip 10.0.0.9"},
		"nobody":            {`{"Image":"i","HostConfig":{"NetworkMode":"container:z"}}`, "--network container:z: no such container: z"},
		"no name":           {`{"Image":"i","HostConfig":{"NetworkMode":"container:"}}`, "invalid container format container:<name|id>"},
		"no name, ipc":      {`{"Image":"i","HostConfig":{"IpcMode":"container:"}}`, "--ipc container:"},
		"private ipc":       {`{"Image":"i","HostConfig":{"IpcMode":"container:y"}}`, "non-shareable IPC"},
		"two sandboxes":     {`{"Image":"i","HostConfig":{"NetworkMode":"container:x","PidMode":"container:y"}}`, "--pid container:y: not supported: who joins a container is in its sandbox"},
		"shm of its own":    {`{"Image":"i","HostConfig":{"IpcMode":"container:x","ShmSize":4096}}`, "--shm-size 4096: with --ipc container:x the container has no /dev/shm of its own"},
		"shm without shm":   {`{"Image":"i","HostConfig":{"IpcMode":"none","ShmSize":4096}}`, "no /dev/shm of its own"},
		"msg of its own":    {`{"Image":"i","HostConfig":{"IpcMode":"container:x","Sysctls":{"kernel.msgmax":"1"}}}`, "--sysctl kernel.msgmax: the container has no IPC namespace of its own"},
		"uts of a stranger": {`{"Image":"i","HostConfig":{"UTSMode":"container:x"}}`, "--uts container:x"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := join(t, c.body); err == nil || !strings.Contains(err.Error(), c.want) || errdefs.IsNotFound(err) {
				t.Errorf("got %v, not %s", err, c.want)
			}
		})
	}
}
