package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/storage"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/log"
	brignet "github.com/brig-engine/brig/internal/daemon/network"
)

// noTime is what Docker shows for what has not happened.
const noTime = "0001-01-01T00:00:00Z"

// driver names what a container's root is made of.
const driver = "erofs"

func (s *Server) containerInspect(w http.ResponseWriter, r *http.Request) error {
	c, err := s.find(r)
	if err != nil {
		return err
	}
	v := c.View()
	reply := s.inspect(&v, Version(r))
	if boolParam(r, "size") {
		fd, err := callerFD(r)
		if err != nil {
			return err
		}
		defer closeFD(fd)
		size, err := s.Engine.Size(r.Context(), c, fd)
		if err != nil {
			return fmt.Errorf("size of container %s: %w", v.Name, err)
		}
		reply.SizeRw, reply.SizeRootFs = &size.Own, &size.Root
	}
	WriteJSON(w, http.StatusOK, reply)
	return nil
}

// settings is NetworkSettings with the fields of the default network that versions before 1.52 repeat at the top.
type settings struct {
	apicontainer.NetworkSettings
	*oldSettings
}

type oldSettings struct {
	Bridge                 string
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	SecondaryIPAddresses   []string
	SecondaryIPv6Addresses []string
	EndpointID             string
	Gateway                netip.Addr
	GlobalIPv6Address      string
	GlobalIPv6PrefixLen    int
	IPAddress              netip.Addr
	IPPrefixLen            int
	IPv6Gateway            string
	MacAddress             network.HardwareAddr
}

// inspectReply has what comes before the state by itself, so that people find it where they look for it.
type inspectReply struct {
	ID      string `json:"Id"`
	Created string
	Path    string
	Args    []string
	State   stateReply
	apicontainer.InspectResponse
	NetworkSettings settings
}

type stateReply struct {
	apicontainer.State
	OOMReason string `json:",omitempty"` // which limit was met, and how it is raised
}

func (s *Server) inspect(v *container.View, version int) inspectReply {
	cfg, host := v.Config, v.Host
	if len(cfg.Volumes) == 0 {
		cfg.Volumes = nil // null, as Docker has it
	}
	args := v.Spec.Process.Args
	i := inspectReply{ID: v.ID, Created: stamp(v.Created), Path: args[0], Args: append([]string{}, args[1:]...), State: state(v)}
	i.InspectResponse = apicontainer.InspectResponse{
		Name: "/" + v.Name, Image: v.ImageID, Driver: driver, Platform: "linux", RestartCount: v.Restarts, ExecIDs: v.Execs,
		AppArmorProfile: v.Spec.Process.AppArmor,
		ProcessLabel:    v.Run.ProcessLabel, MountLabel: v.Run.MountLabel,
		HostConfig: &host, Config: &cfg, Mounts: s.mounts(v),
		GraphDriver: &storage.DriverData{Name: driver, Data: map[string]string{}},
	}
	if v.Log.Driver == log.DriverJSON {
		i.LogPath = s.Root + "/daemon/logs/" + v.ID + "/log.json"
	}
	i.NetworkSettings = s.networkSettings(v, version)
	return i
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return noTime
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func state(v *container.View) stateReply {
	return stateReply{OOMReason: v.OutOfMemory(), State: apicontainer.State{
		Status: apicontainer.ContainerState(v.Status()), Pid: v.Run.PID, Health: v.Health, Paused: v.Paused,
		Restarting: v.State == container.Restarting, // which counts as running
		Running:    v.State == container.Running || v.State == container.Restarting,
		OOMKilled:  v.Exit.OOMKilled, ExitCode: v.Exit.Code, Error: v.Error,
		StartedAt: stamp(v.Started), FinishedAt: stamp(v.Finished),
	}}
}

func (s *Server) mounts(v *container.View) []apicontainer.MountPoint {
	out := slices.DeleteFunc(slices.Clone(v.Mounts), func(m apicontainer.MountPoint) bool {
		_, option := v.Host.Tmpfs[m.Destination] // those of --tmpfs are in HostConfig alone, as with Docker
		return option && m.Type == mount.TypeTmpfs
	})
	if out == nil {
		out = []apicontainer.MountPoint{}
	}
	for i := range out {
		if out[i].Name != "" {
			out[i].Source = s.mountpoint(out[i].Name)
		}
	}
	return out
}

func (s *Server) networkSettings(v *container.View, version int) settings {
	out := settings{NetworkSettings: apicontainer.NetworkSettings{
		Ports: ports(v), Networks: map[string]*network.EndpointSettings{},
	}}
	for _, m := range v.Networks {
		e := s.endpoint(v, &m)
		if version < 45 && !brignet.IsBuiltin(m.Name) {
			e.Aliases = brignet.Once(slices.Concat(m.Aliases, []string{v.ID[:12], v.Config.Hostname}))
		}
		out.Networks[m.Name] = e
	}
	if v.State == container.Running {
		out.SandboxID = v.ID
	}
	if version < 52 {
		old := &oldSettings{}
		if e := out.Networks[brignet.Bridge]; e != nil {
			old.EndpointID, old.Gateway, old.IPAddress = e.EndpointID, e.Gateway, e.IPAddress
			old.IPPrefixLen, old.MacAddress = e.IPPrefixLen, e.MacAddress
		}
		out.oldSettings = old
	}
	return out
}

// endpoint is what a network has of the one endpoint of a container; its addresses are there while it runs, and the same
// in every network.
func (s *Server) endpoint(v *container.View, m *brignet.Membership) *network.EndpointSettings {
	e := &network.EndpointSettings{NetworkID: m.ID, Aliases: m.Aliases}
	for _, l := range m.Links {
		e.Links = append(e.Links, l.Target+":"+l.Alias)
	}
	if !brignet.IsBuiltin(m.Name) {
		e.DNSNames = brignet.DNSNames(v.Name, v.ID, v.Config.Hostname, m.Aliases)
	}
	if v.State != container.Running {
		return e
	}
	e.EndpointID = brignet.EndpointID(v.ID, m.ID)
	if at := v.Run.Endpoint; at != nil {
		e.IPAddress, e.Gateway, e.IPPrefixLen = at.Addr, at.Gateway, at.PrefixLen
		_ = e.MacAddress.UnmarshalText([]byte(at.MAC))
	}
	return e
}

// ports are the bound ports, and those that are exposed without being published.
func ports(v *container.View) network.PortMap {
	m := network.PortMap{}
	if v.State != container.Running {
		return m
	}
	for p := range v.Config.ExposedPorts {
		m[p] = nil
	}
	for _, b := range v.Run.Ports {
		p, ok := network.PortFrom(b.ContainerPort, network.IPProtocol(b.Proto))
		if !ok {
			continue
		}
		ip, err := netip.ParseAddr(b.HostIP)
		if err != nil {
			continue
		}
		m[p] = append(m[p], network.PortBinding{HostIP: ip, HostPort: strconv.Itoa(int(b.HostPort))})
	}
	return m
}
