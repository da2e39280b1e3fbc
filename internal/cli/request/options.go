package request

import (
	"strings"

	"github.com/spf13/pflag"
)

// Options holds the values of the options that describe a container. Bind fills it, Build reads it.
type Options struct {
	flags *pflag.FlagSet

	health                                                                       health
	level                                                                        string
	stdin, tty, rm, init, privileged, readOnly, record                           bool
	publishAll, oomKillDisable                                                   bool
	name, user, workdir, entrypoint, hostname, domainname, platform              string
	ip, ip6, mac, ipc, pid, uts, userns, cgroupns, runtime, isolation, logDriver string
	stopSignal, restart, volumeDriver, cgroupParent, cpuset, cpusetMems, cidPath string
	memory, memorySwap, memoryReservation, shmSize, cpus, ioBandwidth            string
	cpuShares, cpuQuota, cpuPeriod, pidsLimit, swappiness                        int64
	cpuRtPeriod, cpuRtRuntime, cpuCount, cpuPercent                              int64
	ioOps                                                                        uint64
	oomScoreAdj, stopTimeout                                                     int
	blkioWeight                                                                  uint16

	attach, env, envFiles, labels, labelFiles, annotations, volumes, volumesFrom, mounts, tmpfs  []string
	publish, expose, aliases, links, extraHosts, dns, dnsSearch, dnsOptions, sysctls             []string
	capAdd, capDrop, groupAdd, securityOpts, storageOpts, logOpts, ulimits, devices, deviceRules []string
	networks, linkLocal, gpus, weights, readBps, writeBps, readIOps, writeIOps                   []string
}

// words are the values of an option that may be given more than once. pflag's own type of that kind makes a writer of
// CSV for each option when it is declared, which is felt in every command.
type words []string

func (w *words) Set(s string) error { *w = append(*w, s); return nil }
func (w *words) Type() string       { return "stringArray" }
func (w *words) String() string     { return strings.Join(*w, ",") }

// Bind declares the options on fs.
func Bind(fs *pflag.FlagSet) *Options {
	o := &Options{flags: fs}
	fs.SetNormalizeFunc(spelling)
	o.bindProgram(fs)
	o.health.bind(fs)
	o.bindFiles(fs)
	o.bindNetwork(fs)
	o.bindResources(fs)
	o.bindDisks(fs)
	o.bindSecurity(fs)
	o.bindWindows(fs)
	bindRefused(fs)
	return o
}

func (o *Options) bindProgram(fs *pflag.FlagSet) {
	fs.BoolVarP(&o.stdin, "interactive", "i", false, "Keep standard input open")
	fs.BoolVarP(&o.tty, "tty", "t", false, "Give the program a terminal")
	fs.BoolVar(&o.rm, "rm", false, "Remove the container when it ends")
	fs.BoolVar(&o.init, "init", false, "Run a small init as process 1")
	fs.StringVar(&o.name, "name", "", "Name of the container")
	fs.VarP((*words)(&o.attach), "attach", "a", "Attach to stdin, stdout or stderr only")
	fs.VarP((*words)(&o.env), "env", "e", "Set an environment variable (NAME=value; NAME takes the caller's value)")
	fs.Var((*words)(&o.envFiles), "env-file", "Read environment variables from a file")
	fs.StringVarP(&o.user, "user", "u", "", "User, and group, to run as (name|uid[:group|gid])")
	fs.StringVarP(&o.workdir, "workdir", "w", "", "Working directory inside the container")
	fs.StringVar(&o.entrypoint, "entrypoint", "", "Replace the image's entrypoint")
	fs.VarP((*words)(&o.labels), "label", "l", "Set a label (key=value)")
	fs.Var((*words)(&o.labelFiles), "label-file", "Read labels from a file")
	fs.Var((*words)(&o.annotations), "annotation", "Set an annotation (key=value)")
	fs.StringVar(&o.stopSignal, "stop-signal", "", "Signal that stops the program")
	fs.IntVar(&o.stopTimeout, "stop-timeout", 0, "Seconds between the stop signal and SIGKILL")
	fs.StringVar(&o.restart, "restart", "no", "Restart policy (no|on-failure[:N]|always|unless-stopped)")
	fs.StringVar(&o.platform, "platform", "", "Platform of the image (os/arch[/variant])")
	fs.StringVar(&o.cidPath, "cidfile", "", "Write the container's id to a new file")
	fs.StringVar(&o.logDriver, "log-driver", "", "Where output goes (json-file, local, journald, syslog, none)")
	fs.Var((*words)(&o.logOpts), "log-opt", "Option of the log driver (max-size=10m)")
	fs.StringVar(&o.runtime, "runtime", "", "OCI runtime to use")
}

func (o *Options) bindFiles(fs *pflag.FlagSet) {
	fs.VarP((*words)(&o.volumes), "volume", "v", "Mount a volume or a host path ([source:]target[:options])")
	fs.Var((*words)(&o.mounts), "mount", "Mount (type=bind|volume|tmpfs,source=…,target=…[,readonly])")
	fs.Var((*words)(&o.tmpfs), "tmpfs", "Mount an empty file system in memory (target[:options])")
	fs.Var((*words)(&o.volumesFrom), "volumes-from", "Mount the volumes of another container")
	fs.StringVar(&o.volumeDriver, "volume-driver", "", "Driver of new volumes")
	fs.Var((*words)(&o.storageOpts), "storage-opt", "Storage option (size=5G)")
	fs.BoolVar(&o.readOnly, "read-only", false, "Mount the root file system read-only")
	fs.StringVar(&o.shmSize, "shm-size", "", "Size of /dev/shm (64m)")
	fs.Var((*words)(&o.devices), "device", "Give a host device (host[:container[:rwm]])")
	fs.Var((*words)(&o.deviceRules), "device-cgroup-rule", "Allow access to devices (c 1:3 rwm)")
	fs.Var((*words)(&o.gpus), "gpus", "Give GPUs (all|N|device=…)")
}

func (o *Options) bindNetwork(fs *pflag.FlagSet) {
	fs.Var((*words)(&o.networks), "network", "Network to connect to (bridge|none|NAME|name=NAME,alias=…)")
	fs.Var((*words)(&o.aliases), "network-alias", "Another name of the container on its network")
	fs.StringVar(&o.ip, "ip", "", "IPv4 address on its network")
	fs.StringVar(&o.ip6, "ip6", "", "IPv6 address on its network")
	fs.Var((*words)(&o.linkLocal), "link-local-ip", "Link-local address on its network")
	fs.StringVar(&o.mac, "mac-address", "", "Hardware address")
	fs.VarP((*words)(&o.publish), "publish", "p", "Publish a port ([[address:]port:]container-port[/udp])")
	fs.BoolVarP(&o.publishAll, "publish-all", "P", false, "Publish every exposed port on a free one")
	fs.Var((*words)(&o.expose), "expose", "Expose a port or a range without publishing it")
	fs.Var((*words)(&o.links), "link", "Link to another container (name[:alias])")
	fs.StringVarP(&o.hostname, "hostname", "h", "", "Host name inside the container")
	fs.StringVar(&o.domainname, "domainname", "", "NIS domain name inside the container")
	fs.Var((*words)(&o.extraHosts), "add-host", "Add a line to /etc/hosts (name:address)")
	fs.Var((*words)(&o.dns), "dns", "Address of a name server")
	fs.Var((*words)(&o.dnsSearch), "dns-search", "Search domain")
	fs.Var((*words)(&o.dnsOptions), "dns-option", "Resolver option")
}

func (o *Options) bindResources(fs *pflag.FlagSet) {
	fs.StringVarP(&o.memory, "memory", "m", "", "Memory limit (bytes, or with b, k, m, g)")
	fs.StringVar(&o.memorySwap, "memory-swap", "", "Limit of memory and swap together; -1 is as much swap as there is")
	fs.StringVar(&o.memoryReservation, "memory-reservation", "", "Memory that is kept under pressure")
	fs.Int64Var(&o.swappiness, "memory-swappiness", -1, "How readily memory is swapped (0 to 100)")
	fs.BoolVar(&o.oomKillDisable, "oom-kill-disable", false, "Do not kill at the memory limit")
	fs.IntVar(&o.oomScoreAdj, "oom-score-adj", 0, "Preference of the host's out-of-memory killer (-1000 to 1000)")
	fs.StringVar(&o.cpus, "cpus", "", "Number of CPUs (1.5)")
	fs.Int64VarP(&o.cpuShares, "cpu-shares", "c", 0, "Share of CPU time relative to other containers")
	fs.Int64Var(&o.cpuPeriod, "cpu-period", 0, "Length of a CPU period in microseconds")
	fs.Int64Var(&o.cpuQuota, "cpu-quota", 0, "CPU time per period in microseconds")
	fs.StringVar(&o.cpuset, "cpuset-cpus", "", "CPUs to run on (0-2,4)")
	fs.StringVar(&o.cpusetMems, "cpuset-mems", "", "Memory nodes to use (0,1)")
	fs.Int64Var(&o.pidsLimit, "pids-limit", 0, "Largest number of processes and threads")
	fs.Var((*words)(&o.ulimits), "ulimit", "Resource limit (nofile=1024[:2048])")
	fs.StringVar(&o.cgroupParent, "cgroup-parent", "", "Parent cgroup")
	fs.Int64Var(&o.cpuRtPeriod, "cpu-rt-period", 0, "Length of a real-time period in microseconds")
	fs.Int64Var(&o.cpuRtRuntime, "cpu-rt-runtime", 0, "Real-time CPU time per period in microseconds")
}

func (o *Options) bindDisks(fs *pflag.FlagSet) {
	fs.Uint16Var(&o.blkioWeight, "blkio-weight", 0, "Share of disk time (10 to 1000)")
	fs.Var((*words)(&o.weights), "blkio-weight-device", "Share of the time of one disk (/dev/sda:100)")
	fs.Var((*words)(&o.readBps), "device-read-bps", "Bytes per second to read from a disk (/dev/sda:1m)")
	fs.Var((*words)(&o.writeBps), "device-write-bps", "Bytes per second to write to a disk (/dev/sda:1m)")
	fs.Var((*words)(&o.readIOps), "device-read-iops", "Reads per second from a disk (/dev/sda:1000)")
	fs.Var((*words)(&o.writeIOps), "device-write-iops", "Writes per second to a disk (/dev/sda:1000)")
}

// bindWindows declares what Docker has for Windows alone. It is sent, so that the engine refuses it by name.
func (o *Options) bindWindows(fs *pflag.FlagSet) {
	fs.StringVar(&o.isolation, "isolation", "", "Isolation (default; the others are for Windows)")
	fs.Int64Var(&o.cpuCount, "cpu-count", 0, "Number of CPUs (Windows only)")
	fs.Int64Var(&o.cpuPercent, "cpu-percent", 0, "Part of the CPUs (Windows only)")
	fs.StringVar(&o.ioBandwidth, "io-maxbandwidth", "", "Bytes per second of the system drive (Windows only)")
	fs.Uint64Var(&o.ioOps, "io-maxiops", 0, "Operations per second of the system drive (Windows only)")
	for _, name := range []string{"isolation", "cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"} {
		fs.Lookup(name).Hidden = true
	}
}

func (o *Options) bindSecurity(fs *pflag.FlagSet) {
	fs.Var((*words)(&o.capAdd), "cap-add", "Add a capability")
	fs.Var((*words)(&o.capDrop), "cap-drop", "Drop a capability (ALL drops every one)")
	fs.Var((*words)(&o.securityOpts), "security-opt", "Security option (no-new-privileges, seccomp=FILE, …)")
	fs.Var((*words)(&o.groupAdd), "group-add", "Add a supplementary group")
	fs.Var((*words)(&o.sysctls), "sysctl", "Set a namespaced kernel setting (name=value)")
	fs.StringVar(&o.level, "level", "", "How much it is confined (standard|strict|compat)")
	fs.BoolVar(&o.record, "record", false, "Record its system calls, for brig tighten")
	fs.BoolVar(&o.privileged, "privileged", false, "Ask for all privileges (refused: see --cap-add and brig policy)")
	fs.StringVar(&o.userns, "userns", "", "User namespace")
	fs.StringVar(&o.ipc, "ipc", "", "IPC namespace")
	fs.StringVar(&o.pid, "pid", "", "PID namespace")
	fs.StringVar(&o.uts, "uts", "", "UTS namespace")
	fs.StringVar(&o.cgroupns, "cgroupns", "", "Cgroup namespace (private|host)")
}

// spelling maps second spellings of options to their names: --cpuset is the survey's, the others are Docker's.
func spelling(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "cpuset":
		name = "cpuset-cpus"
	case "net":
		name = "network"
	case "net-alias":
		name = "network-alias"
	case "dns-opt":
		name = "dns-option"
	}
	return pflag.NormalizedName(name)
}

// AttachedTo reports whether the command line named streams to attach to.
func (o *Options) AttachedTo() bool { return len(o.attach) > 0 }
