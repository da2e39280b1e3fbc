package request

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/network"
	"tags.cncf.io/container-device-interface/pkg/parser"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// Create is a create request: its body and its two query parameters.
type Create struct {
	Name     string
	Platform string
	CIDFile  string
	Body     engineapi.CreateRequest
}

// Build makes the request from the options and the words after them: the image and its command.
func (o *Options) Build(args []string) (*Create, error) {
	if err := o.refused(); err != nil {
		return nil, err
	}
	config, err := o.config(args[0], args[1:])
	if err != nil {
		return nil, err
	}
	host, err := o.hostConfig()
	if err != nil {
		return nil, err
	}
	exposed, bindings, err := o.ports()
	if err != nil {
		return nil, err
	}
	config.ExposedPorts, host.PortBindings = exposed, bindings
	if host.Binds, config.Volumes, err = splitVolumes(o.volumes); err != nil {
		return nil, err
	}
	var endpoints map[string]*network.EndpointSettings
	if endpoints, host.NetworkMode, err = o.endpoints(); err != nil {
		return nil, err
	}
	return &Create{Name: o.name, Platform: o.platform, CIDFile: o.cidPath, Body: engineapi.CreateRequest{
		Config: config, HostConfig: host,
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: endpoints},
	}}, nil
}

func (o *Options) config(image string, command []string) (*engineapi.Config, error) {
	env, err := Environment(o.envFiles, o.env)
	if err != nil {
		return nil, err
	}
	labels, err := labelSet(o.labelFiles, o.labels)
	if err != nil {
		return nil, err
	}
	c := &engineapi.Config{
		Image: image, Hostname: o.hostname, Domainname: o.domainname, User: o.user, WorkingDir: o.workdir,
		Tty: o.tty, OpenStdin: o.stdin, AttachStdin: o.stdin, Env: env, Labels: labels, StopSignal: o.stopSignal,
	}
	if len(command) > 0 {
		c.Cmd = command
	}
	if o.flags.Changed("entrypoint") {
		c.Entrypoint = []string{o.entrypoint}
	}
	if o.flags.Changed("stop-timeout") {
		c.StopTimeout = &o.stopTimeout
	}
	if err := o.attachments(c); err != nil {
		return nil, err
	}
	c.StdinOnce = c.OpenStdin && c.AttachStdin
	if c.Healthcheck, err = o.health.config(); err != nil {
		return nil, err
	}
	if o.health.restart {
		c.Labels[restartUnhealthy] = "true"
	}
	return c, nil
}

func (o *Options) attachments(c *engineapi.Config) error {
	if len(o.attach) == 0 {
		c.AttachStdout, c.AttachStderr = true, true
	}
	for _, name := range o.attach {
		switch strings.ToLower(name) {
		case "stdin":
			c.AttachStdin = true
		case "stdout":
			c.AttachStdout = true
		case "stderr":
			c.AttachStderr = true
		default:
			return fmt.Errorf("--attach %q: the streams are stdin, stdout and stderr", name)
		}
	}
	return nil
}

func (o *Options) hostConfig() (*engineapi.HostConfig, error) {
	h := &engineapi.HostConfig{
		AutoRemove: o.rm, Privileged: o.privileged, Isolation: o.isolation,
		ReadonlyRootfs: o.readOnly, PublishAllPorts: o.publishAll, ContainerIDFile: o.cidPath,
		CapAdd: capabilities(o.capAdd), CapDrop: capabilities(o.capDrop), GroupAdd: o.groupAdd,
		IpcMode: o.ipc, PidMode: o.pid, UTSMode: o.uts, UsernsMode: o.userns, CgroupnsMode: o.cgroupns,
		Runtime: o.runtime, OomScoreAdj: o.oomScoreAdj, VolumeDriver: o.volumeDriver, VolumesFrom: o.volumesFrom,
		Links: o.links, DNSSearch: o.dnsSearch, DNSOptions: o.dnsOptions,
		LogConfig: engineapi.LogConfig{Type: o.logDriver},
	}
	if o.flags.Changed("init") {
		h.Init = &o.init
	}
	for _, step := range []func(*engineapi.HostConfig) error{
		o.resources, o.disks, o.limits, o.restartPolicy, o.security, o.names, o.maps, o.fileSystems,
	} {
		if err := step(h); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (o *Options) restartPolicy(h *engineapi.HostConfig) error {
	var err error
	if h.RestartPolicy, err = RestartPolicy(o.restart); err != nil {
		return err
	}
	if o.rm && h.RestartPolicy.Name != "no" {
		return errors.New("conflicting options: cannot specify both --restart and --rm: " +
			"a container that is removed cannot be restarted")
	}
	return nil
}

// RestartPolicy reads the value of --restart.
func RestartPolicy(s string) (p engineapi.RestartPolicy, err error) {
	name, count, counted := strings.Cut(s, ":")
	if name == "" {
		name = "no"
	}
	p.Name = name
	if counted {
		n, err := positive(count)
		if err != nil || name != "on-failure" {
			return p, fmt.Errorf("--restart %q: a policy is no, on-failure[:N], always or unless-stopped", s)
		}
		p.MaximumRetryCount = n
	}
	return p, nil
}

// names fills what concerns addresses and names: /etc/hosts and the resolver.
func (o *Options) names(h *engineapi.HostConfig) error {
	for _, s := range o.dns {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("--dns %q: not an IP address", s)
		}
		h.DNS = append(h.DNS, addr)
	}
	for _, s := range o.extraHosts {
		name, addr, ok := strings.Cut(s, "=")
		if !ok {
			name, addr, ok = strings.Cut(s, ":")
		}
		if len(addr) > 2 && addr[0] == '[' && addr[len(addr)-1] == ']' {
			addr = addr[1 : len(addr)-1]
		}
		_, err := netip.ParseAddr(addr)
		if !ok || name == "" || strings.Contains(name, ":") || err != nil && addr != "host-gateway" {
			return fmt.Errorf("--add-host %q: a line is name:address", s)
		}
		h.ExtraHosts = append(h.ExtraHosts, name+":"+addr)
	}
	return nil
}

// maps fills the options that are lists of key=value.
func (o *Options) maps(h *engineapi.HostConfig) (err error) {
	if h.Annotations, err = keyValues("--annotation", o.annotations); err != nil {
		return err
	}
	if o.flags.Changed("level") { // --level= is refused by the engine, as any word that is no level
		const annotation = "brig.level"
		if other, ok := h.Annotations[annotation]; ok && other != o.level {
			return fmt.Errorf("--level %q: --annotation %s=%s says another one", o.level, annotation, other)
		}
		h.Annotations[annotation] = o.level
	}
	if o.flags.Changed("record") {
		const annotation = "brig.record"
		value := strconv.FormatBool(o.record)
		if other, ok := h.Annotations[annotation]; ok && other != value {
			return fmt.Errorf("--record=%s: --annotation %s=%s says another thing", value, annotation, other)
		}
		h.Annotations[annotation] = value
	}
	if h.Sysctls, err = keyValues("--sysctl", o.sysctls); err != nil {
		return err
	}
	if h.StorageOpt, err = keyValues("--storage-opt", o.storageOpts); err != nil {
		return err
	}
	h.LogConfig.Config, err = keyValues("--log-opt", o.logOpts)
	return err
}

func keyValues(option string, list []string) (map[string]string, error) {
	m := make(map[string]string, len(list))
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok && option == "--annotation" { // as in Docker, one without a value
			ok = true
		}
		if !ok || k == "" {
			return nil, fmt.Errorf("%s %q: key=value is needed", option, s)
		}
		m[k] = v
	}
	return m, nil
}

func (o *Options) fileSystems(h *engineapi.HostConfig) (err error) {
	for _, s := range o.tmpfs {
		target, options, _ := strings.Cut(s, ":")
		if h.Tmpfs == nil {
			h.Tmpfs = make(map[string]string)
		}
		h.Tmpfs[target] = options
	}
	if o.shmSize != "" {
		if h.ShmSize, err = units.RAMInBytes(o.shmSize); err != nil {
			return fmt.Errorf("--shm-size %q: %w", o.shmSize, err)
		}
	}
	for _, s := range o.mounts {
		m, err := parseMount(s)
		if err != nil {
			return fmt.Errorf("--mount %q: %w", s, err)
		}
		h.Mounts = append(h.Mounts, m)
	}
	var named []string
	for _, s := range o.devices {
		if parser.IsQualifiedName(s) {
			named = append(named, s)
			continue
		}
		d, err := parseDevice(s)
		if err != nil {
			return err
		}
		h.Devices = append(h.Devices, d)
	}
	if named != nil {
		h.DeviceRequests = append(h.DeviceRequests, engineapi.DeviceRequest{Driver: "cdi", DeviceIDs: named})
	}
	for _, s := range o.gpus {
		g, err := parseGPUs(s)
		if err != nil {
			return fmt.Errorf("--gpus %q: %w", s, err)
		}
		h.DeviceRequests = append(h.DeviceRequests, g)
	}
	h.DeviceCgroupRules = o.deviceRules
	return nil
}
