package compat

var (
	volumeFlags = []string{"-v", "--volume"}
	mountFlags  = []string{"--mount"}
	tmpfsFlags  = []string{"--tmpfs"}
)

const (
	travels = "mounts would travel between host and container"
	rescue  = "rprivate is what every mount has"
	quotas  = "Brig does not bound disk space yet"
)

// What a container sees of files.
var files = []Entry{
	{Field: "HostConfig.Binds", Flags: volumeFlags, State: Works, Note: "nosuid and nodev always; a host path must exist " +
		"and is opened with the caller's own rights; z and Z set no SELinux label"},
	{Field: "HostConfig.Binds", Value: "shared", Flags: volumeFlags, State: Refused, Rule: "no-shared-mounts",
		Reason: travels, Instead: rescue},
	{Field: "Volumes", Flags: volumeFlags, State: Works},
	{Field: "HostConfig.VolumesFrom", Flags: []string{"--volumes-from"}, State: Works},
	{Field: "HostConfig.VolumeDriver", Flags: []string{"--volume-driver"}, State: Works, Kept: true, Note: "local"},
	{Field: "HostConfig.VolumeDriver", Value: "DRIVER", Flags: []string{"--volume-driver"}, State: Missing,
		Reason: "volumes are directories of the engine", Instead: "mount on the host, and bind that directory"},
	{Field: "HostConfig.Tmpfs", Flags: tmpfsFlags, State: Works,
		Note: "64 MiB unless size says otherwise; nosuid and nodev always"},
	{Field: "HostConfig.Tmpfs", Value: "suid", Flags: tmpfsFlags, State: Refused, Rule: "nosuid-nodev",
		Reason: "set-user-id programs and device nodes are dead in every mount", Instead: "leave it out"},
	{Field: "HostConfig.Tmpfs", Value: "OPTION", Flags: tmpfsFlags, State: Missing,
		Reason: "a tmpfs has size, mode, exec and ro", Instead: "leave it out; root inside can chown it"},
	{Field: "HostConfig.ReadonlyRootfs", Flags: []string{"--read-only"}, State: Works},
	{Field: "HostConfig.ShmSize", Flags: []string{"--shm-size"}, State: Works},
	{Field: "HostConfig.StorageOpt", Flags: []string{"--storage-opt"}, State: Missing, Reason: quotas,
		Instead: "put the engine's root on a file system of its own"},

	{Field: "HostConfig.Mounts[].Type", Flags: mountFlags, State: Works, Note: "bind, volume and tmpfs"},
	{Field: "HostConfig.Mounts[].Type", Value: "TYPE", Flags: mountFlags, State: Missing,
		Reason: "the types are bind, volume and tmpfs", Instead: "use one of these"},
	{Field: "HostConfig.Mounts[].Source", Flags: mountFlags, State: Works},
	{Field: "HostConfig.Mounts[].Target", Flags: mountFlags, State: Works},
	{Field: "HostConfig.Mounts[].Target", Value: "/proc, /sys, /dev", Flags: mountFlags, State: Refused, Rule: "own-mounts",
		Reason: "the engine's own file systems are there", Instead: "choose another target"},
	{Field: "HostConfig.Mounts[].ReadOnly", Flags: mountFlags, State: Works,
		Note: "read-only holds for the mounts below it as well"},
	{Field: "HostConfig.Mounts[].Consistency", Flags: mountFlags, State: Works, Kept: true, Note: "always consistent"},
	{Field: "HostConfig.Mounts[].BindOptions.Propagation", Flags: mountFlags, State: Works, Kept: true,
		Note: "private and rprivate"},
	{Field: "HostConfig.Mounts[].BindOptions.Propagation", Value: "shared", Flags: mountFlags, State: Refused,
		Rule: "no-shared-mounts", Reason: travels, Instead: rescue},
	{Field: "HostConfig.Mounts[].BindOptions.NonRecursive", Flags: mountFlags, State: Works},
	{Field: "HostConfig.Mounts[].BindOptions.CreateMountpoint", Flags: mountFlags, State: Missing,
		Reason: "no directory of the host is made for a container", Instead: "make it before"},
	{Field: "HostConfig.Mounts[].BindOptions.ReadOnlyNonRecursive", Flags: mountFlags, State: Missing,
		Reason:  "a read-only mount is read-only with all mounts below it",
		Instead: "mount what shall be writable once more, at its place below"},
	{Field: "HostConfig.Mounts[].BindOptions.ReadOnlyForceRecursive", Flags: mountFlags, State: Works, Kept: true,
		Note: "always so"},
	{Field: "HostConfig.Mounts[].VolumeOptions.NoCopy", Flags: mountFlags, State: Works},
	{Field: "HostConfig.Mounts[].VolumeOptions.Labels", Flags: mountFlags, State: Works},
	{Field: "HostConfig.Mounts[].VolumeOptions.Subpath", Flags: mountFlags, State: Missing,
		Reason: "a volume is mounted as a whole", Instead: "use a volume for each part"},
	{Field: "HostConfig.Mounts[].VolumeOptions.DriverConfig.Name", Flags: mountFlags, State: Works, Kept: true,
		Note: "local"},
	{Field: "HostConfig.Mounts[].VolumeOptions.DriverConfig.Name", Value: "DRIVER", Flags: mountFlags, State: Missing,
		Reason: "volumes are directories of the engine", Instead: "mount on the host, and bind that directory"},
	{Field: "HostConfig.Mounts[].VolumeOptions.DriverConfig.Options", Flags: mountFlags, State: Missing,
		Reason: "the engine mounts no file system for a volume", Instead: "mount on the host, and bind that directory"},
	{Field: "HostConfig.Mounts[].ImageOptions", Below: []string{"Subpath"}, Flags: mountFlags, State: Missing,
		Reason: "an image is mounted as a root only", Instead: "copy its files into a volume"},
	{Field: "HostConfig.Mounts[].TmpfsOptions.SizeBytes", Flags: mountFlags, State: Works, Note: "64 MiB without it"},
	{Field: "HostConfig.Mounts[].TmpfsOptions.Mode", Flags: mountFlags, State: Works},
	{Field: "HostConfig.Mounts[].TmpfsOptions.Options", Flags: mountFlags, State: Works},
	{Field: "HostConfig.Mounts[].TmpfsOptions.Options", Value: "OPTION", Flags: mountFlags, State: Missing,
		Reason: "a tmpfs has size, mode, exec and ro", Instead: "leave it out; root inside can chown it"},
	{Field: "HostConfig.Mounts[].TmpfsOptions.Options", Value: "suid", Flags: mountFlags, State: Refused,
		Rule: "nosuid-nodev", Reason: "set-user-id programs and device nodes are dead in every mount",
		Instead: "leave it out"},
	{Field: "HostConfig.Mounts[].ClusterOptions", Flags: mountFlags, State: Missing, Reason: "it is for Swarm",
		Instead: "leave it out"},
}
