package config

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Mount is a mount of a configuration with its options turned into the kernel's.
type Mount struct {
	Target string // absolute and clean
	Type   string // of the file system, "" for a bind
	Source string
	// Bind: Source is a file or directory of the host, with what is mounted below it if Recursive.
	Bind, Recursive bool
	// Attributes of mount_setattr(2) to set and clear, on the mount and (All…) on those below it too.
	Set, Clear, AllSet, AllClear uint64
	Propagation                  []Spread
	Data                         []string // parameters of the file system: key or key=value
	CopyUp                       bool     // a tmpfs begins with what it covers
	// IDMap maps the ids of the mount: by UIDs and GIDs, or as the container's user namespace if they are empty.
	IDMap, AllIDMap bool
	UIDs, GIDs      []specs.LinuxIDMapping
}

// Spread is one change of propagation.
type Spread struct {
	Flag      uint64
	Recursive bool
}

type attribute struct{ set, clear uint64 }

// attributes by the options of mount(8). An access time is a choice of one: the others are cleared.
var attributes = map[string]attribute{
	"ro": {unix.MOUNT_ATTR_RDONLY, 0}, "rw": {0, unix.MOUNT_ATTR_RDONLY},
	"nosuid": {unix.MOUNT_ATTR_NOSUID, 0}, "suid": {0, unix.MOUNT_ATTR_NOSUID},
	"nodev": {unix.MOUNT_ATTR_NODEV, 0}, "dev": {0, unix.MOUNT_ATTR_NODEV},
	"noexec": {unix.MOUNT_ATTR_NOEXEC, 0}, "exec": {0, unix.MOUNT_ATTR_NOEXEC},
	"nodiratime": {unix.MOUNT_ATTR_NODIRATIME, 0}, "diratime": {0, unix.MOUNT_ATTR_NODIRATIME},
	"nosymfollow": {unix.MOUNT_ATTR_NOSYMFOLLOW, 0}, "symfollow": {0, unix.MOUNT_ATTR_NOSYMFOLLOW},
	"noatime": {unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME}, "atime": {unix.MOUNT_ATTR_RELATIME, unix.MOUNT_ATTR__ATIME},
	"relatime":      {unix.MOUNT_ATTR_RELATIME, unix.MOUNT_ATTR__ATIME},
	"norelatime":    {unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME},
	"strictatime":   {unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME},
	"nostrictatime": {unix.MOUNT_ATTR_RELATIME, unix.MOUNT_ATTR__ATIME},
}

// usual are options that say what holds without them.
var usual = []string{"defaults", "async", "nomand", "nolazytime", "noiversion", "loud"}

// flagOptions are parameters without a value that every file system takes.
var flagOptions = []string{"sync", "dirsync", "lazytime", "mand", "iversion", "silent"}

// Options lists every option of a mount that is not a file system's own.
func Options() []string {
	all := append([]string{"bind", "rbind", "tmpcopyup", "idmap", "ridmap"}, usual...)
	all = append(all, flagOptions...)
	for name := range maps.Keys(attributes) {
		all = append(all, name, "r"+name)
	}
	for _, name := range []string{"private", "shared", "slave", "unbindable"} {
		all = append(all, name, "r"+name)
	}
	slices.Sort(all)
	return all
}

// below /proc are the files that may be covered: what a container is told about the machine (lxcfs), and nothing that a
// program or the kernel acts upon.
var coverable = []string{"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
	"/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled", "/proc/net/dev"}

// Coverable tells whether something may be mounted on a path below /proc.
func Coverable(path string) bool { return slices.Contains(coverable, path) }

// ParseMount turns one mount into the kernel's terms.
func ParseMount(m *specs.Mount) (*Mount, error) {
	out := &Mount{Target: path.Clean("/" + m.Destination), Type: m.Type, Source: m.Source, UIDs: m.UIDMappings, GIDs: m.GIDMappings}
	fail := func(format string, args ...any) (*Mount, error) {
		return nil, fmt.Errorf("mount on %q: "+format, append([]any{m.Destination}, args...)...)
	}
	if m.Destination == "" || out.Target == "/" || strings.ContainsRune(m.Destination, 0) {
		return fail("not a place below the root")
	}
	for _, option := range m.Options {
		if err := out.option(option); err != nil {
			return fail("%w", err)
		}
	}
	if m.Type == "bind" || out.Bind {
		out.Bind, out.Type = true, ""
	}
	out.IDMap = out.IDMap || len(m.UIDMappings)+len(m.GIDMappings) > 0
	switch {
	case out.Bind && out.Source == "":
		return fail("a bind has a source")
	case !out.Bind && (out.Type == "" || out.Type == "none"):
		return fail("type %q is no file system", m.Type)
	case out.Bind && len(out.Data) > 0:
		return fail("option %q is none of a bind", out.Data[0])
	case out.IDMap && !out.Bind:
		return fail("ids are mapped of binds only")
	case (len(m.UIDMappings) == 0) != (len(m.GIDMappings) == 0):
		return fail("uidMappings and gidMappings belong together")
	case out.CopyUp && out.Type != "tmpfs":
		return fail("tmpcopyup is for a tmpfs only")
	}
	return out, out.checkProc()
}

// checkProc keeps what is below /proc as the kernel made it (CVE-2019-16884, CVE-2023-27561).
func (m *Mount) checkProc() error {
	switch {
	case m.Target == "/proc":
		if m.Type != "proc" && !m.Bind {
			return fmt.Errorf("mount on /proc: of type %q, where proc is needed", m.Type)
		}
	case strings.HasPrefix(m.Target, "/proc/") && !Coverable(m.Target):
		return fmt.Errorf("mount on %s: nothing may cover it: only %s", m.Target, strings.Join(coverable, ", "))
	}
	return nil
}

func (m *Mount) option(option string) error {
	rest, recursive := strings.CutPrefix(option, "r")
	a, ok := attributes[option]
	all, allOK := attributes[rest]
	flag, spreads, err := Propagation(option)
	switch {
	case ok:
		m.Set, m.Clear = m.Set&^(a.clear|a.set)|a.set, m.Clear&^a.set|a.clear
	case recursive && allOK:
		m.AllSet, m.AllClear = m.AllSet&^(all.clear|all.set)|all.set, m.AllClear&^all.set|all.clear
	case err == nil && flag != 0:
		m.Propagation = append(m.Propagation, Spread{flag, spreads})
	case option == "bind" || option == "rbind":
		m.Bind, m.Recursive = true, m.Recursive || option == "rbind"
	case option == "tmpcopyup":
		m.CopyUp = true
	case option == "idmap":
		m.IDMap = true
	case option == "ridmap":
		m.IDMap, m.AllIDMap = true, true
	case option == "remount":
		return fmt.Errorf("option remount: a mount is made with the options that it is to have")
	case option == "" || slices.Contains(usual, option):
	default:
		m.Data = append(m.Data, option)
	}
	return nil
}
