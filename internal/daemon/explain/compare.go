package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// Finding is one property of a running container: what its specification asks for, and what the kernel says of process 1.
type Finding struct {
	What, Asked, Found string
	// Differs: it is less confined than was asked for. A program may confine itself further, which is no difference.
	Differs bool
	Answers []string `json:",omitempty"` // ids of attacks
}

// Running is what is known of a container that runs.
type Running struct {
	Spec    *wire.Spec
	Range   uint32 // first host id of its sandbox
	Filters int    // that its process 1 was born with
	// Exists tells whether this kernel has a path below /proc or /sys.
	Exists func(path string) bool
	// Ours gives where a link of Names leads for the engine, which is in the host's namespaces; "" if nobody knows.
	Ours func(name string) string
}

// Names are the files of process 1 that Compare looks into.
var Names = append([]string{"status", "limits", "mountinfo", "uid_map", "gid_map", "oom_score_adj"}, spaces...)

var spaces = []string{"ns/user", "ns/mnt", "ns/pid", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup"}

// idsPerSandbox is how many a sandbox has.
const idsPerSandbox = 65536

// comparison collects findings.
type comparison struct {
	Running
	view  wire.ContainerView
	lines map[string]string // of status, by name
	found []Finding
}

// Compare holds what the kernel says against the specification.
func Compare(r Running, view wire.ContainerView) []Finding {
	c := &comparison{Running: r, view: view, lines: map[string]string{}}
	for line := range strings.Lines(view["status"]) {
		name, value, _ := strings.Cut(line, ":")
		c.lines[name] = strings.Join(strings.Fields(value), " ")
	}
	c.namespaces()
	c.ids()
	c.privileges()
	c.limits()
	c.mounts()
	return c.found
}

func (c *comparison) add(answers, what, asked, found string, differs bool) {
	c.found = append(c.found, Finding{what, asked, found, differs, strings.Fields(answers)})
}

func (c *comparison) namespaces() {
	var shared []string // what cannot be told apart is none of its own
	for _, name := range spaces {
		if ours, theirs := c.Ours(name), c.view[name]; ours == "" || theirs == "" || ours == theirs {
			shared = append(shared, strings.TrimPrefix(name, "ns/"))
		}
	}
	found := "none of the host's"
	if len(shared) > 0 {
		found = "the host's " + strings.Join(shared, ", ")
	}
	asked := "its own"
	if c.Spec.Join.Container != "" {
		asked = "its own, and some of container " + c.Spec.Join.Container[:min(12, len(c.Spec.Join.Container))]
	}
	c.add("A3", "namespaces", asked, found, len(shared) > 0)
}

func (c *comparison) ids() {
	for _, kind := range []string{"uid", "gid"} {
		want := fmt.Sprintf("0 %d %d", c.Range, idsPerSandbox)
		have := strings.Join(strings.Fields(c.view[kind+"_map"]), " ")
		c.add("A3", kind+"s inside, on the host, how many", want, have, want != have)
	}
	for _, kind := range []string{"Uid", "Gid", "Groups"} {
		outside := ""
		for _, f := range strings.Fields(c.lines[kind]) {
			if n, err := strconv.ParseUint(f, 10, 32); err != nil || n < uint64(c.Range) || n >= uint64(c.Range)+idsPerSandbox {
				outside = f
			}
		}
		missing := c.lines[kind] == "" && kind != "Groups"
		c.add("A3", "host's "+kind+" of process 1", fmt.Sprintf("of its range, from %d", c.Range), c.lines[kind], outside != "" || missing)
	}
}

func (c *comparison) privileges() {
	caps := c.Spec.Process.Capabilities
	for _, set := range []struct {
		name string
		most uint64
	}{{"CapBnd", caps.Bounding}, {"CapPrm", caps.Bounding}, {"CapEff", caps.Bounding}, {"CapInh", 0}, {"CapAmb", 0}} {
		have, err := strconv.ParseUint(c.lines[set.name], 16, 64)
		c.add("A1 A3", set.name, fmt.Sprintf("at most %016x", set.most), c.lines[set.name], err != nil || have&^set.most != 0)
	}
	asked, least := "1", "1"
	if c.Spec.Process.AllowNewPrivileges {
		asked, least = "0 or 1", "0"
	}
	c.add("A3", "NoNewPrivs", asked, c.lines["NoNewPrivs"], c.lines["NoNewPrivs"] < least)
	n, err := strconv.Atoi(c.lines["Seccomp_filters"])
	c.add("A1", "system-call filters", fmt.Sprintf("at least %d", c.Filters), c.lines["Seccomp_filters"],
		err != nil || n < c.Filters || c.lines["Seccomp"] != "2")
	score, err := strconv.Atoi(strings.TrimSpace(c.view["oom_score_adj"]))
	c.add("A2", "oom_score_adj", fmt.Sprintf("at least %d", c.Spec.Process.OOMScoreAdj), strings.TrimSpace(c.view["oom_score_adj"]),
		err != nil || score < c.Spec.Process.OOMScoreAdj)
}

// rows are what /proc/PID/limits calls resource limits.
var rows = map[string]string{"cpu": "Max cpu time", "fsize": "Max file size", "data": "Max data size", "stack": "Max stack size",
	"core": "Max core file size", "rss": "Max resident set", "nproc": "Max processes", "nofile": "Max open files",
	"memlock": "Max locked memory", "as": "Max address space", "locks": "Max file locks", "sigpending": "Max pending signals",
	"msgqueue": "Max msgqueue size", "nice": "Max nice priority", "rtprio": "Max realtime priority", "rttime": "Max realtime timeout"}

func (c *comparison) limits() {
	for _, l := range c.Spec.Process.Rlimits {
		have := ""
		for line := range strings.Lines(c.view["limits"]) {
			if rest, ok := strings.CutPrefix(line, rows[l.Type]); ok {
				if f := strings.Fields(rest); len(f) >= 2 {
					have = f[1]
				}
			}
		}
		hard, err := parseLimit(have)
		c.add("A2", "hard limit "+l.Type, "at most "+sayLimit(l.Hard), have, err != nil || hard > l.Hard)
	}
}

func parseLimit(s string) (uint64, error) {
	if s == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	return strconv.ParseUint(s, 10, 64)
}

func sayLimit(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// floor are paths that the warden hides or protects in any case.
var floor = []string{"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/acpi", "/proc/asound",
	"/proc/interrupts", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/pressure", "/proc/sys", "/proc/sysrq-trigger"}

// mounted is one line of mountinfo.
type mounted struct{ where, options string }

// has tells whether every one of the options is there.
func (m *mounted) has(options ...string) bool {
	have := strings.Split(m.options, ",")
	return !slices.ContainsFunc(options, func(o string) bool { return !slices.Contains(have, o) })
}

func (c *comparison) mounts() {
	var list []mounted
	for line := range strings.Lines(c.view["mountinfo"]) {
		if f := strings.Fields(line); len(f) > 6 {
			list = append(list, mounted{unescape(f[4]), f[5]})
		}
	}
	expected := map[string][]string{"/": {"nosuid", "nodev"}, "/proc": {"nosuid", "nodev", "noexec"}, "/dev": {"nosuid"},
		"/dev/pts": {"nosuid", "noexec"}, "/dev/mqueue": {"nosuid", "nodev", "noexec"}, "/sys": {"ro", "nosuid", "nodev", "noexec"}}
	if !c.Spec.NoShm {
		expected["/dev/shm"] = []string{"nosuid", "nodev", "noexec"}
	}
	if !c.Spec.WritableRoot {
		expected["/"] = []string{"ro", "nosuid", "nodev"}
	}
	if c.Spec.Process.Terminal {
		expected["/dev/console"] = nil
	}
	if c.Spec.Join.Namespaces&unix.CLONE_NEWNET != 0 {
		for _, p := range []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} {
			expected[p] = nil
		}
	}
	for _, f := range c.Spec.Files {
		expected[f.Path] = []string{"nosuid", "nodev", "noexec"}
	}
	var recursive []string
	for _, m := range c.Spec.Mounts {
		options := []string{"nosuid", "nodev"}
		if !m.Writable {
			options = append(options, "ro")
		}
		if !m.Exec {
			options = append(options, "noexec")
		}
		expected[m.Target] = options
		if m.Recursive {
			recursive = append(recursive, m.Target+"/")
		}
	}
	for _, p := range slices.Concat(c.Spec.MaskedPaths, c.Spec.ReadonlyPaths, floor) {
		if c.Exists(p) {
			expected[p] = nil
		}
	}
	c.compareMounts(list, expected, recursive)
}

// compareMounts looks for each place that is expected, of which the last mount counts, and for places that nobody expects.
func (c *comparison) compareMounts(list []mounted, expected map[string][]string, recursive []string) {
	last := map[string]mounted{}
	for _, m := range list {
		last[m.where] = m
	}
	var places []string
	for p := range expected {
		places = append(places, p)
	}
	slices.Sort(places)
	for _, p := range places {
		m, there := last[p]
		found := m.options
		if !there {
			found = "nothing is mounted there"
		}
		c.add("A3", "mount on "+strconv.Quote(p), cmp.Or(strings.Join(expected[p], ","), "there"), found, !there || !m.has(expected[p]...))
	}
	for _, m := range list {
		_, known := expected[m.where]
		below := slices.ContainsFunc(recursive, func(dir string) bool { return strings.HasPrefix(m.where, dir) })
		if !known && !below && !c.covered(m.where) {
			c.add("A3", "mount on "+strconv.Quote(m.where), "none", m.options, true)
		}
	}
}

// covered tells whether a path is one that is hidden or protected, though this process does not see it.
func (c *comparison) covered(p string) bool {
	return slices.Contains(slices.Concat(c.Spec.MaskedPaths, c.Spec.ReadonlyPaths, floor), p)
}

// unescape undoes what the kernel does to spaces, tabs, newlines and backslashes in mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
