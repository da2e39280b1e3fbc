package compat

const (
	ownNamespace = "the container would share the host's namespace"
	floorAllow   = "no line of the administrator's policy allows it either"
)

var (
	capFlags      = []string{"--cap-add"}
	securityFlags = []string{"--security-opt"}
	ipcFlags      = []string{"--ipc"}
	pidFlags      = []string{"--pid"}
	deviceFlags   = []string{"--device"}
	gpuFlags      = []string{"--gpus"}
)

// The namespaces of a container: its own, or another container's, never the host's.
var namespaces = []Entry{
	{Field: "HostConfig.IpcMode", Flags: ipcFlags, State: Works, Kept: true, Note: "private and shareable"},
	{Field: "HostConfig.IpcMode", Value: "host", Flags: ipcFlags, State: Refused, Rule: "no-host-namespace",
		Reason: ownNamespace, Instead: "leave it out"},
	{Field: "HostConfig.IpcMode", Value: "container:NAME", Flags: ipcFlags, State: Works,
		Note: "one that was made with --ipc shareable, or has joined one"},
	{Field: "HostConfig.IpcMode", Value: "none", Flags: ipcFlags, State: Works,
		Note: "/dev/shm is an empty directory of /dev then"},
	{Field: "HostConfig.PidMode", As: "--pid host", Flags: pidFlags, State: Refused,
		Rule:   "no-host-namespace",
		Reason: ownNamespace, Instead: "leave it out"},
	{Field: "HostConfig.PidMode", Value: "container:NAME", Flags: pidFlags, State: Works,
		Note: "a debugger needs --cap-add SYS_PTRACE, as in brig exec"},
	{Field: "HostConfig.PidMode", Value: "container:OTHER", As: "--network, --ipc and --pid container:NAME of different containers",
		Flags: pidFlags, State: Missing, Reason: "who joins a container is in its sandbox, and nobody is in two",
		Instead: "let all of them name one container, which may have joined another one"},
	{Field: "HostConfig.UTSMode", As: "--uts host", Flags: []string{"--uts"}, State: Refused,
		Rule:   "no-host-namespace",
		Reason: ownNamespace, Instead: "leave it out; --hostname sets a name"},
	{Field: "HostConfig.UsernsMode", As: "--userns host", Flags: []string{"--userns"}, State: Refused,
		Rule:   "no-host-namespace",
		Reason: ownNamespace, Instead: "leave it out"},
	{Field: "HostConfig.CgroupnsMode", Flags: []string{"--cgroupns"}, State: Works, Kept: true, Note: "private"},
	{Field: "HostConfig.CgroupnsMode", Value: "host", Flags: []string{"--cgroupns"}, State: Refused,
		Rule: "no-host-namespace", Reason: ownNamespace, Instead: "leave it out"},
	{Field: "HostConfig.Cgroup", State: Missing, Reason: "no two containers share a control group", Instead: "leave it out"},
}

// What a container may.
var security = []Entry{
	{Field: "HostConfig.Privileged", Flags: []string{"--privileged"}, State: Refused, Rule: "no-privileged",
		Reason: "the container would own the host", Instead: "add the single capabilities it needs with --cap-add"},
	{Field: "HostConfig.CapAdd", Flags: capFlags, State: Works,
		Note: "what is beyond the default is for whom policy.toml allows it, or for root; NET_RAW, MKNOD, AUDIT_WRITE and SETFCAP are not in the default: setcap, and packages with capabilities of files (those of rpm, for one), need `--cap-add SETFCAP`, and so does the entrypoint of hashicorp/vault, or SKIP_SETCAP=1"},
	{Field: "HostConfig.CapAdd", Value: "ALL", Flags: capFlags, State: Refused, Rule: "cap-floor",
		Reason: "it contains capabilities that reach the host's kernel", Instead: "name the ones you need"},
	{Field: "HostConfig.CapAdd", Value: "SYS_ADMIN and others",
		As: "--cap-add SYS_ADMIN, SYS_MODULE, BPF and others", Flags: capFlags, State: Refused, Rule: "cap-floor",
		Reason: "it reaches the host's kernel", Instead: floorAllow},
	{Field: "HostConfig.CapDrop", Flags: []string{"--cap-drop"}, State: Works},
	{Field: "HostConfig.GroupAdd", Flags: []string{"--group-add"}, State: Works,
		Note: "names are those of the image, ids up to 65535"},
	{Field: "HostConfig.SecurityOpt", Flags: securityFlags, State: Works,
		Note: "no-new-privileges (always on; =false where policy.toml allows it, or for root), seccomp=FILE (with a listener, too; at level strict above the default, for everybody), builtin or unconfined (the same; a floor stays), abi32=allow (the same; programs of i386 run on amd64, which are killed else; sockets by socket(2) only, not socketcall(2))"},
	{Field: "HostConfig.SecurityOpt", Value: "apparmor=PROFILE", Flags: securityFlags, State: Works,
		Note: "where the kernel has AppArmor: a profile that root has loaded, or unconfined, for whom policy.toml allows it, or for root; brig-default else"},
	{Field: "HostConfig.SecurityOpt", Value: "abi32=allow", As: "--security-opt abi32=allow, on arm64", Flags: securityFlags, State: Refused,
		Rule: "one-abi", Reason: "there is no floor for programs of 32 bits on this architecture", Instead: "use programs of 64 bits"},
	{Field: "HostConfig.SecurityOpt", Value: "label=LABEL", Flags: securityFlags, State: Works,
		Note: "where the kernel has SELinux and its policy has container_t: level:, and user:, role:, type: and disable for whom policy.toml allows it, or for root; where it has not: disable, and no other"},
	{Field: "HostConfig.SecurityOpt", Value: "systempaths=unconfined", Flags: securityFlags, State: Refused,
		Rule: "masked-paths", Reason: "the masked paths show and change the whole machine", Instead: "leave it out"},
	{Field: "HostConfig.SecurityOpt", Value: "writable-cgroups=true", Flags: securityFlags, State: Refused,
		Rule: "bounded", Reason: "a container would set its own bounds", Instead: "leave it out"},
	{Field: "HostConfig.SecurityOpt", Value: "OTHER", As: "--security-opt, any other", Flags: securityFlags,
		State:   Missing,
		Reason:  "the options are no-new-privileges, seccomp, apparmor, abi32 and label",
		Instead: "leave it out"},
	{Field: "HostConfig.MaskedPaths", State: Works},
	{Field: "HostConfig.MaskedPaths", Value: "fewer", As: "MaskedPaths, fewer", State: Refused, Rule: "masked-paths",
		Reason:  "the masked paths show and change the whole machine",
		Instead: "add to the default list, take nothing away"},
	{Field: "HostConfig.ReadonlyPaths", State: Works},
	{Field: "HostConfig.ReadonlyPaths", Value: "fewer", As: "ReadonlyPaths, fewer", State: Refused,
		Rule: "masked-paths", Reason: "the read-only paths change the whole machine",
		Instead: "add to the default list, take nothing away"},
	{Field: "HostConfig.Sysctls", Flags: []string{"--sysctl"}, State: Works,
		Note: "those of the container's own namespaces"},
	{Field: "HostConfig.Sysctls", Value: "kernel.NAME", Flags: []string{"--sysctl"}, State: Refused,
		Rule:   "own-sysctls",
		Reason: "it changes the whole machine, not the container's namespaces", Instead: "set it on the host"},
	{Field: "HostConfig.Devices", Below: []string{"PathOnHost", "PathInContainer", "CgroupPermissions"},
		Flags: deviceFlags, State: Works,
		Note: "character devices, or a directory of them, for whom policy.toml allows them, or for root; disks are given to nobody"},
	{Field: "HostConfig.Devices", Value: "m", As: "--device PATH:PATH:m", Flags: deviceFlags, State: Missing,
		Reason: "no container makes device nodes", Instead: "write r, w or rw"},
	{Field: "HostConfig.Devices", Value: "TARGET", As: "--device PATH:TARGET outside of /dev", Flags: deviceFlags, State: Missing,
		Reason: "device nodes are dead everywhere but in /dev", Instead: "choose a target below /dev"},
	{Field: "HostConfig.DeviceCgroupRules", Flags: []string{"--device-cgroup-rule"}, State: Refused,
		Rule:   "device-list",
		Reason: "it opens devices for whoever can make a node of them", Instead: "leave it out"},
	{Field: "HostConfig.DeviceRequests", Below: []string{"Driver", "Count", "DeviceIDs", "Capabilities"},
		Flags: gpuFlags, State: Works,
		Note: "the CDI devices nvidia.com/gpu=…, as --device VENDOR/CLASS=NAME gives any: from specifications of root's in /etc/cdi and /var/run/cdi, read when the container is made"},
	{Field: "HostConfig.DeviceRequests[].Options", Flags: gpuFlags, As: "--gpus options=", State: Missing,
		Reason: "what comes along is in the CDI specification", Instead: "leave it out"},
	{Field: "HostConfig.DeviceRequests", Value: "OTHER", As: "--gpus driver=, capabilities=", Flags: gpuFlags, State: Missing,
		Reason:  "the driver is nvidia, the capability gpu, and what comes along is in the CDI specification",
		Instead: "leave it out"},
	{Field: "HostConfig.DeviceRequests", Value: "HOOK", As: "a CDI device with hooks", Flags: gpuFlags, State: Refused, Rule: "no-hooks",
		Reason:  "a hook is a program that runs as root beside the container and is handed what the image says (CVE-2025-23266)",
		Instead: "write a specification without hooks: devices, variables, and mounts for reading"},
	{Field: "HostConfig.DeviceRequests", Value: "EDIT", As: "a CDI device with other edits", Flags: gpuFlags, State: Missing,
		Reason:  "a specification gives character devices as the host has them, variables, and mounts with ro, rbind, noexec",
		Instead: "write one with nothing else in it"},
	{Field: "HostConfig.Capabilities", State: Missing, Reason: "clients of API 1.40 sent it for a while",
		Instead: "use CapAdd and CapDrop"},
}
