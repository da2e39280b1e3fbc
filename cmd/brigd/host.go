package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/container"
	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/seccompjson"
	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
	"github.com/brig-engine/brig/internal/wire"
)

// machine reads what this process shares with containers: memory in bytes, processors, and the highest limit of open files
// that can be given.
func machine() (h policy.Host, err error) {
	var info unix.Sysinfo_t
	var nofile unix.Rlimit
	if err := errors.Join(unix.Sysinfo(&info), unix.Getrlimit(unix.RLIMIT_NOFILE, &nofile)); err != nil {
		return h, fmt.Errorf("this machine: %w", err)
	}
	return policy.Host{CpusetCpus: processors(), MemoryTotal: int64(info.Totalram) * int64(info.Unit),
		CPUs: runtime.NumCPU(), NofileHard: nofile.Max}, nil
}

// hostOf turns the warden's greeting into what policy and API need to know of the host. forwards tells whether the gateway
// answers on port 53 (the host's own resolvers are loopback stubs).
func hostOf(h *wire.HelloReply, state string, forwards bool) (policy.Host, network.Facts, error) {
	facts := network.Facts{Instance: h.Instance}
	if st, err := os.Stat(state); err == nil {
		facts.Created = st.ModTime()
	}
	// Without the network both are empty, and stay invalid.
	facts.Subnet, _ = netip.ParsePrefix(h.Subnet)
	facts.Gateway, _ = netip.ParseAddr(h.Gateway)
	facts.MTU = mtu(facts.Subnet)
	forwarder := netip.Addr{}
	if forwards {
		forwarder = facts.Gateway
	}
	host, err := machine()
	host.NetworkError, host.AppArmor, host.SELinux, host.ABI32 = h.NetworkError, h.AppArmor, h.SELinux, runtime.GOARCH == "amd64"
	host.MakeFiles = func(r policy.FileRequest) ([]wire.File, error) { return files(r, facts.Gateway, forwarder) }
	return host, facts, err
}

// mtu is that of the host's end of the way to the containers, and theirs; 0: unknown, as without a network.
func mtu(subnet netip.Prefix) int {
	all, err := net.Interfaces()
	if err != nil {
		slog.Error("the host's interfaces", "error", err)
	}
	for _, i := range all {
		addrs, _ := i.Addrs() // it may be gone by now
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && subnet.Contains(p.Addr()) {
				return i.MTU
			}
		}
	}
	return 0
}

// processors are those that this process may use, as a list: containers are bound below the same limit. "": unknown.
func processors() string {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		slog.Error("the host's processors", "error", err)
		return ""
	}
	var all []string
	for n, left := 0, set.Count(); left > 0; n++ {
		if set.IsSet(n) {
			all = append(all, strconv.Itoa(n))
			left--
		}
	}
	return strings.Join(all, ",")
}

// address stands for the container's own address: only the warden knows it, at the start.
const address = "{{ADDRESS}}"

// files gives hosts, resolv.conf and hostname of a container.
func files(r policy.FileRequest, gateway, forwarder netip.Addr) ([]wire.File, error) {
	var extra []network.HostEntry
	for _, s := range r.ExtraHosts {
		e, err := network.ParseHostEntry(s, gateway)
		if err != nil {
			return nil, err
		}
		extra = append(extra, e)
	}
	hosts := network.Hosts(netip.Addr{}, r.Hostname, r.Domainname, extra)
	resolv := ""
	if r.Network {
		hosts = network.Hosts(netip.Addr{}, "", "", extra) +
			network.OwnLine(address, r.Hostname, r.Domainname)
		b, err := os.ReadFile("/etc/resolv.conf")
		if err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("the host's resolvers: %w", err)
		}
		if r.Names {
			forwarder = gateway
		}
		over := network.Override{Servers: r.DNS, Search: r.DNSSearch, Options: r.DNSOptions}
		resolv = network.ParseResolvConf(b).ForContainer(nonEmpty(over), forwarder)
		if r.Names && !strings.Contains(resolv, "ndots:") {
			resolv += "options ndots:0\n" // a name without a dot is a container's first, and a host's of the search list after
		}
	}
	return []wire.File{
		{Path: "/etc/hosts", Content: hosts},
		{Path: "/etc/resolv.conf", Content: resolv},
		{Path: "/etc/hostname", Content: r.Hostname + "\n"},
	}, nil
}

// nonEmpty: clients send empty lists where nothing was said.
func nonEmpty(o network.Override) network.Override {
	if len(o.Servers) == 0 {
		o.Servers = nil
	}
	if len(o.Search) == 0 {
		o.Search = nil
	}
	if len(o.Options) == 0 {
		o.Options = nil
	}
	return o
}

// compile makes a filter of the seccomp profile of a request.
func compile(f container.Filter) (*wire.Filter, error) {
	p, err := seccompjson.Everything(), error(nil)
	switch f.Profile {
	case "":
	case policy.BuiltinProfile:
		p = seccompjson.Default()
	default:
		p, err = seccompjson.Decode([]byte(f.Profile))
	}
	if err == nil && f.Record {
		p, err = p.Recorded(seccompspec.Listener{Path: wire.Recorder})
	}
	if err != nil {
		return nil, err
	}
	program, err := p.Compile(seccompjson.Host{Arch: filter.Arch(runtime.GOARCH), Kernel: kernelVersion(),
		Bounding: f.Of.Capabilities.Bounding, Compat: f.Of.ABI32})
	metadata, _ := json.Marshal(program.Listener.Metadata) // a string can be written
	out := &wire.Filter{Program: program.Code, Narrows: f.Narrows, Listener: program.Listener.Path, Metadata: string(metadata)}
	if program.Log {
		out.Flags |= unix.SECCOMP_FILTER_FLAG_LOG
	}
	if out.Listener != "" {
		out.Flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	return out, err
}

func kernelVersion() (v [2]uint64) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		// A release that does not begin with two numbers counts as 0.0: no rule with a minimum applies.
		_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &v[0], &v[1])
	}
	return v
}

// proxy serves the clients of published ports that the kernel's translation does not reach.
func proxy(st wire.Started, listeners []int) (stop func()) {
	var splices []*network.Splice
	for i, p := range st.Ports {
		socket := os.NewFile(uintptr(listeners[i]), "port")
		if st.Endpoint == nil {
			socket.Close()
			continue
		}
		s, serr := network.NewSplice(socket, p.Proto, netip.AddrPortFrom(st.Endpoint.Addr, p.ContainerPort))
		if serr != nil {
			slog.Error("a published port is not served on loopback", "port", p.HostPort, "error", serr)
			continue
		}
		splices = append(splices, s)
	}
	return func() {
		for _, s := range splices {
			if err := s.Close(); err != nil {
				slog.Error("close a published port", "error", err)
			}
		}
	}
}

// defaultRuntime is the one that brig engine start left in the run directory for containers that name none. What it names is
// looked up at each creation: one that the administrator has taken back is refused then.
func defaultRuntime(run string) string {
	name, err := os.ReadFile(filepath.Join(run, "runtime"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		slog.Error("Brig makes containers that name no runtime", "error", err)
	}
	return string(name)
}
