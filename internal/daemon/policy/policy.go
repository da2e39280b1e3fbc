package policy

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/cdi"
	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/log"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// Host is what decisions need to know about the machine.
type Host struct {
	MemoryTotal int64 // bytes
	CPUs        int
	PidMax      int64  // 0: unknown
	NofileHard  uint64 // 0: unknown
	// CpusetCpus are the processors that containers can be bound to, as a list like 0-3,6; "": unknown.
	CpusetCpus string
	// NetworkError says why the machine cannot have the network called bridge; "" when it can.
	NetworkError string
	// AppArmor: the kernel has it, and the engine's profiles.
	AppArmor bool
	// ABI32: the engine has a floor for programs of 32 bits on this machine.
	ABI32 bool
	// SELinux: the kernel has it, with a policy that knows containers.
	SELinux bool
	// Disk says how the writable layer of a container is bounded.
	Disk Disk
	// Runtime makes a container that names none; "" is Brig.
	Runtime string
	// MakeFiles gives the contents of hosts, resolv.conf and hostname.
	MakeFiles func(FileRequest) ([]wire.File, error)
}

// FileRequest is what the engine's files inside a container depend on.
type FileRequest struct {
	Hostname, Domainname string
	Network              bool
	Names                bool // of other containers, which the engine's forwarder knows
	DNS                  []netip.Addr
	DNSSearch            []string
	DNSOptions           []string
	ExtraHosts           []string
}

// Input is one request with all that decides about it.
type Input struct {
	ID      string // 64 hex digits
	Request *Request
	Image   *image.Image
	Host    Host
	// Policy is the administrator's; nil is that where no file was applied.
	Policy *rules.Policy
	// Networks finds a network by what a request calls it.
	Networks func(ref string) (network.Network, error)
	// VolumeOptions finds the options of a volume, if there is one of that name.
	VolumeOptions func(name string) (map[string]string, bool)
	// Lend finds what --volumes-from takes from another container.
	Lend func(container string) (*Lent, error)
	// Owner finds a container whose namespaces are to be joined.
	Owner func(container string) (*Owner, error)
	// Images finds an image that is to be mounted.
	Images func(ref string) (*image.Image, error)
	// CDI finds a device by its qualified name.
	CDI func(name string) (*cdi.Found, error)
}

// Effective is what a request comes to.
type Effective struct {
	Spec wire.Spec
	// Profile is a seccomp profile in Docker's JSON that has to be compiled, or BuiltinProfile; Spec.Process.Filter then
	// gets its digest.
	Profile string
	// NeedsCaller says that the warden will ask who the caller is: a host path or a relaxation is in Spec.
	NeedsCaller bool
	Level       Level
	Granted     []Granted
	// Config and Host are the request as inspect shows it, with the image's part and the defaults.
	Config   container.Config
	HostConf container.HostConfig
	// RestartUnhealthy says that the container is restarted when its health checks have failed.
	RestartUnhealthy bool
	Log              log.Options
	Volumes          []VolumeUse
	Images           []string // ids of those that are mounted
	Networks         []network.Membership
	Mounts           []container.MountPoint
	// PortsTo has for each of Spec.Network.Ports the last port of the host that will do instead, or 0.
	PortsTo  []uint16
	Warnings []string
}

// BuiltinProfile stands for Docker's default profile, resolved for capabilities beyond the default ones.
const BuiltinProfile = "builtin"

// Make decides about one request. The error holds all Refusals.
func Make(in Input) (*Effective, error) {
	c := &collector{}
	if in.Policy == nil {
		in.Policy = rules.Default()
	}
	img := &in.Image.Config.Config
	e := &Effective{Config: c.merge(&in.Request.Config, img), HostConf: in.Request.Host}
	c.setLevel(&in, e)
	r := in.Request
	c.unsupported(r)
	c.annotations(r.Host.Annotations)
	joins, level := c.join(in, e)
	e.RestartUnhealthy = c.restartUnhealthy(r, e.Config.Healthcheck)
	var errs []error
	e.Log, errs = log.Parse(r.Host.LogConfig)
	d := c.devices(in)
	m := c.mounts(in, d.mounts)
	e.Volumes, e.Mounts, e.Images = m.volumes, m.shown, m.images
	e.Spec = c.spec(in, e, joins, level)
	e.Spec.Mounts, e.Spec.Devices = m.spec, d.list
	c.runtime(in, &e.Spec, e.Profile)
	e.Spec.Process.Env = c.overlayEnv(e.Spec.Process.Env, d.env)
	if len(errs) == 0 {
		info := LogInfo(in.ID, "", in.Image.ID, &e.Config, &r.Host, e.Spec.Process.Args, time.Time{})
		if _, err := e.Log.Meta(info); err != nil {
			errs = append(errs, err)
		}
	}
	for _, err := range errs {
		option, reason, _ := strings.Cut(err.Error(), ": ")
		c.invalid(option, "", "%s", reason)
	}
	q := Question{Policy: in.Policy, By: r.By, Image: in.Image, Spec: &e.Spec, Profile: e.Profile, Level: c.level}
	var refused Refusals
	e.Granted, refused = q.Answer()
	c.refusals = append(c.refusals, refused...)
	e.NeedsCaller = needsCaller(&e.Spec) || len(e.Granted) > 0 || listens(e.Profile)
	if err := c.err(); err != nil {
		return nil, err
	}
	e.Warnings = c.warnings
	fillShown(e)
	return e, nil
}

func (c *collector) spec(in Input, e *Effective, joins wire.Join, level string) wire.Spec {
	h := &in.Request.Host
	s := wire.Spec{
		Hostname:     c.hostname("--hostname", e.Config.Hostname),
		Domainname:   c.hostname("--domainname", e.Config.Domainname),
		Image:        in.Image.Index,
		WritableRoot: !h.ReadonlyRootfs,
		Volatile:     h.AutoRemove,
		Disk:         c.disk(h, in.Host.Disk),
		Join:         joins,
		NoShm:        h.IpcMode.IsNone(),
		Resources:    c.resources(h, in.Host),
		Init:         h.Init != nil && *h.Init,
		ShmSize:      h.ShmSize,
	}
	shared := joins.Namespaces&unix.CLONE_NEWNET != 0
	if !shared {
		s.Network = c.network(in, e)
	}
	if s.Hostname == "" {
		s.Hostname = in.ID[:12]
		e.Config.Hostname = s.Hostname
	}
	if s.ShmSize < 0 {
		c.invalid("--shm-size", strconv.FormatInt(s.ShmSize, 10), "must be a number of bytes")
	}
	if noOwn := s.NoShm || joins.Namespaces&unix.CLONE_NEWIPC != 0; noOwn && s.ShmSize > 0 {
		c.invalid("--shm-size", strconv.FormatInt(s.ShmSize, 10), "with --ipc %s the container has no /dev/shm of its own", clip(string(h.IpcMode)))
	}
	if s.ShmSize == 0 {
		s.ShmSize = defaultShm
	}
	s.Sysctl = c.sysctls(h.Sysctls, s.Network.Mode != wire.NetworkNone, joins.Namespaces&unix.CLONE_NEWIPC == 0)
	s.MaskedPaths, s.ReadonlyPaths = c.paths(h, in.Host.CPUs)
	s.Process = c.process(in, e, s.Hostname)
	s.Process.Level = cmp.Or(s.Process.Level, level)
	c.dnsValues(h)
	if in.Host.MakeFiles != nil && len(c.refusals) == 0 && !shared { // the owner's come with its network
		s.Files = c.files(in, &s, e.Networks)
	}
	return s
}

// paths accepts a request's own lists only when they hold at least the defaults.
func (c *collector) paths(h *container.HostConfig, cpus int) (masked, readonly []string) {
	masked, readonly = maskedPaths(cpus), readonlyPaths()
	for _, l := range []struct {
		name  string
		asked []string
		have  *[]string
	}{{"MaskedPaths", h.MaskedPaths, &masked}, {"ReadonlyPaths", h.ReadonlyPaths, &readonly}} {
		if l.asked == nil {
			continue
		}
		missing := without(*l.have, l.asked)
		if len(missing) > 0 {
			c.refuse(true, "HostConfig."+l.name+"=fewer", "without "+missing[0])
			continue
		}
		for _, p := range l.asked {
			if !path.IsAbs(p) || path.Clean(p) != p || !strings.HasPrefix(p, "/proc/") && !strings.HasPrefix(p, "/sys/") {
				c.invalid(l.name, p, "must be a clean path below /proc or /sys")
			}
		}
		*l.have = l.asked
	}
	return masked, readonly
}

// without gives the entries of all that are not in some.
func without(all, some []string) []string {
	have := make(map[string]bool, len(some))
	for _, s := range some {
		have[s] = true
	}
	var out []string
	for _, a := range all {
		if !have[a] {
			out = append(out, a)
		}
	}
	return out
}

func (c *collector) process(in Input, e *Effective, hostname string) wire.Process {
	cfg, h := &e.Config, &in.Request.Host
	u, err := resolveUser(cfg.User, in.Image)
	switch {
	case err != nil:
		c.invalid("-u", cfg.User, "%v", err)
	case c.level == Strict && u.UID == 0:
		c.notRoot(cfg.User)
	}
	c.addGroups(&u.User, h.GroupAdd, in.Image)
	if h.Umask != nil {
		u.Umask = h.Umask
		if *h.Umask > 0o777 {
			c.invalid("--umask", strconv.FormatUint(uint64(*h.Umask), 8), "must be at most 777")
		}
	}
	sec := c.securityOpts(h.SecurityOpt, &in.Host)
	e.Profile = sec.profile
	if sec.abi32 && Recorded(h) {
		c.invalid("--security-opt", "abi32=allow", "calls of 32 bits are not recorded: leave one of it and --record out")
	}
	set := c.capabilities(h.CapAdd, h.CapDrop)
	ptrace, _ := capBit("SYS_PTRACE")
	p := wire.Process{
		Args:               append(append([]string{}, cfg.Entrypoint...), cfg.Cmd...),
		Env:                processEnv(cfg.Env, hostname, u.home, cfg.Tty),
		Cwd:                c.cwd(cfg.WorkingDir),
		User:               u.User,
		Capabilities:       capsFor(set, u.UID),
		AllowNewPrivileges: sec.allowNewPrivileges,
		Rlimits:            c.rlimits(h.Ulimits, in.Host),
		OOMScoreAdj:        h.OomScoreAdj,
		NoLandlock:         set&ptrace != 0,
		ABI32:              sec.abi32,
		Label:              sec.selinux.process(),
		Level:              sec.selinux.level,
		Terminal:           cfg.Tty,
		Stdin:              cfg.OpenStdin,
	}
	if sec.unconfined {
		p.Filter = &wire.Filter{}
	} else if e.Profile == "" && (p.ABI32 || p.Capabilities.Bounding&^defaultCaps() != 0) {
		e.Profile = BuiltinProfile // the warden's own default knows the default capabilities and 64 bits only
	}
	p.AppArmor = profileFor(sec.appArmor, p.Capabilities.Bounding, in.Host.AppArmor)
	p.Rows, p.Cols = c.consoleSize(h.ConsoleSize)
	c.args(&p, in)
	if a := h.OomScoreAdj; a < 0 || a > 1000 {
		c.refuse(a < 0, "HostConfig.OomScoreAdj=below 0", strconv.Itoa(a))
		if a > 1000 {
			c.invalid("--oom-score-adj", strconv.Itoa(a), "must be between 0 and 1000")
		}
	}
	if _, err := ParseSignal(cfg.StopSignal); cfg.StopSignal != "" && err != nil {
		c.invalid("--stop-signal", cfg.StopSignal, "%v", err)
	}
	if t := cfg.StopTimeout; t != nil && *t < -1 {
		c.invalid("--stop-timeout", strconv.Itoa(*t), "must be a number of seconds, or -1 for no end")
	}
	return p
}

func (c *collector) args(p *wire.Process, in Input) {
	if len(p.Args) == 0 || p.Args[0] == "" {
		c.invalid("COMMAND", "", "no command specified: neither the request nor the image %s names one",
			clip(in.Request.Config.Image))
	}
	for _, a := range p.Args {
		if strings.Contains(a, "\x00") {
			c.invalid("COMMAND", a, "an argument cannot contain a NUL byte")
		}
	}
}

func (c *collector) cwd(dir string) string {
	switch {
	case dir == "":
		return "/"
	case !path.IsAbs(dir) || strings.Contains(dir, "\x00"):
		c.invalid("-w", dir, "must be an absolute path")
	}
	return path.Clean(dir)
}

// consoleSize is [rows, columns].
func (c *collector) consoleSize(s [2]uint) (rows, cols uint16) {
	if s[0] > 0xffff || s[1] > 0xffff {
		c.invalid("ConsoleSize", "", "rows and columns are at most 65535")
	}
	return uint16(s[0]), uint16(s[1])
}

// Files gives the engine's files for a container in these networks. Those on one of people's own ask the forwarder, which
// knows its names; and it alone does, so servers of the container's own are refused together with such a network.
func (h Host) Files(config *container.HostConfig, s *wire.Spec, in []network.Membership) ([]wire.File, error) {
	q := FileRequest{Hostname: s.Hostname, Domainname: s.Domainname, Network: s.Network.Mode != wire.NetworkNone,
		Names: HasNames(in), DNS: config.DNS, DNSSearch: config.DNSSearch, DNSOptions: config.DNSOptions,
		ExtraHosts: config.ExtraHosts}
	return h.MakeFiles(q)
}

func (c *collector) files(in Input, s *wire.Spec, nets []network.Membership) []wire.File {
	f, err := in.Host.Files(&in.Request.Host, s, nets)
	if err != nil {
		c.invalid("--dns, --dns-search, --dns-option, --add-host", "", "%v", err)
	}
	return f
}

// needsCaller tells whether the warden has to know who asks, beside for what the policy grants: a path of the host.
func needsCaller(s *wire.Spec) bool {
	return len(s.Sysctl) > 0 || slices.ContainsFunc(s.Mounts, func(m wire.Mount) bool { return m.Kind == wire.MountBind })
}

// LogInfo is what a log may tell about a container. args is what is executed: the entry point and the command.
func LogInfo(id, name, image string, c *container.Config, h *container.HostConfig, args []string, created time.Time) log.Info {
	i := log.Info{ID: id, Name: name, ImageID: image, Image: c.Image, Created: created, Env: c.Env, Labels: c.Labels,
		Config: h.LogConfig.Config}
	if len(args) > 0 {
		i.Entrypoint, i.Args = args[0], args[1:]
	}
	return i
}

// fillShown puts the defaults that were given into what inspect shows.
func fillShown(e *Effective) {
	h, s := &e.HostConf, &e.Spec
	h.LogConfig = container.LogConfig{Type: e.Log.Driver, Config: h.LogConfig.Config}
	if h.NetworkMode == "" || h.NetworkMode == "default" {
		h.NetworkMode = "bridge"
	}
	if h.RestartPolicy.Name == "" {
		h.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	if h.IpcMode == "" {
		h.IpcMode = container.IPCModePrivate
	}
	h.CgroupnsMode = container.CgroupnsModePrivate
	h.ShmSize, h.Runtime = s.ShmSize, cmp.Or(s.Runtime, BrigRuntime)
	h.Memory, h.CPUShares = s.Resources.Memory, int64(s.Resources.CPUShares)
	pids := s.Resources.Pids
	h.PidsLimit = &pids
	h.MaskedPaths, h.ReadonlyPaths = s.MaskedPaths, s.ReadonlyPaths
}

// listens tells whether a profile in Docker's JSON names a listener, which is connected to as the caller.
func listens(profile string) bool {
	var p struct{ ListenerPath string }
	_ = json.Unmarshal([]byte(profile), &p) // one that is none is refused elsewhere
	return p.ListenerPath != ""
}
