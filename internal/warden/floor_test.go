package warden

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
	"github.com/brig-engine/brig/internal/wire/rules/capname"
)

const gib = 1 << 30

// plain is a spec that the floor has nothing against.
func plain() wire.Spec {
	caps := wire.Capabilities{Bounding: wire.OrdinaryCaps, Permitted: wire.OrdinaryCaps}
	return wire.Spec{Process: wire.Process{Args: []string{"true"}, Cwd: "/", Capabilities: caps},
		Resources: wire.Resources{Memory: gib, Pids: 100}}
}

func TestFloorRefusesWhatNoBrigdMayAskFor(t *testing.T) {
	root, user, w := &caller{}, &caller{UID: 1000}, &Warden{cfg: Config{Root: t.TempDir()}}
	mount := func(kind wire.MountKind, source, target string) func(*wire.Spec) {
		return func(s *wire.Spec) {
			s.Mounts = []wire.Mount{{Kind: kind, Source: source, Target: target, Size: 1 << 20}}
		}
	}
	capability := func(c int) func(*wire.Spec) {
		return func(s *wire.Spec) { s.Process.Capabilities.Bounding |= 1 << c }
	}
	joins := func(container string, namespaces int) func(*wire.Spec) {
		return func(s *wire.Spec) { s.Join = wire.Join{Container: container, Namespaces: namespaces} }
	}
	for name, c := range map[string]struct {
		change func(*wire.Spec)
		by     *caller
		says   string // "" if it is allowed
	}{
		"nothing odd":               {func(*wire.Spec) {}, nil, ""},
		"sys_admin":                 {capability(unix.CAP_SYS_ADMIN), root, "never given"},
		"dac_read_search":           {capability(unix.CAP_DAC_READ_SEARCH), root, "never given"},
		"net_admin without root":    {capability(unix.CAP_NET_ADMIN), user, "administrator"},
		"net_admin by root":         {capability(unix.CAP_NET_ADMIN), root, ""},
		"permitted beyond bounding": {func(s *wire.Spec) { s.Process.Capabilities.Bounding = 0 }, root, "permitted"},
		"own filter without root":   {func(s *wire.Spec) { s.Process.Filter = &wire.Filter{Program: make([]byte, 8)} }, user, "administrator"},
		"a listener without a caller": {func(s *wire.Spec) {
			s.Process.Filter = &wire.Filter{Program: make([]byte, 8), Narrows: true, Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Listener: "/run/l.sock", Metadata: `""`}
		}, nil, "as its caller could"},
		"brigd as the listener": {func(s *wire.Spec) {
			s.Process.Filter = &wire.Filter{Program: make([]byte, 8), Narrows: true, Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Listener: wire.Recorder, Metadata: `""`}
		}, nil, ""},
		"another's listener": {func(s *wire.Spec) {
			s.Process.Filter = &wire.Filter{Program: make([]byte, 8), Narrows: true, Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Listener: "../l.sock", Metadata: `""`}
		}, root, "one if it has a listener"},
		"a listener and no filter": {func(s *wire.Spec) {
			s.Process.Filter = &wire.Filter{Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Listener: "/l", Metadata: `""`}
		}, root, "one if it has a listener"},
		"unconfined without a caller": {func(s *wire.Spec) { s.Process.Filter = &wire.Filter{} }, nil, "administrator"},
		"32 bits by root":             {func(s *wire.Spec) { s.Process.ABI32 = true }, root, ""},
		"32 bits by a user":           {func(s *wire.Spec) { s.Process.ABI32 = true }, user, "abi32=allow"},
		"new privileges by root":      {func(s *wire.Spec) { s.Process.AllowNewPrivileges = true }, root, ""},
		"new privileges by a user":    {func(s *wire.Spec) { s.Process.AllowNewPrivileges = true }, user, "administrator"},
		"no AppArmor by root":         {func(s *wire.Spec) { s.Process.AppArmor = "unconfined" }, root, ""},
		"no AppArmor by a user":       {func(s *wire.Spec) { s.Process.AppArmor = "unconfined" }, user, "administrator"},
		"a profile by a user":         {func(s *wire.Spec) { s.Process.AppArmor = "mine" }, user, "apparmor=mine"},
		"the profile by a user":       {func(s *wire.Spec) { s.Process.AppArmor = "brig-default" }, user, ""},
		"a label without SELinux":     {func(s *wire.Spec) { s.Process.Level = "s0" }, root, "no SELinux"},
		"no label by a user":          {func(s *wire.Spec) { s.Process.Label = "disable" }, user, "label=disable"},
		"another type by a user":      {func(s *wire.Spec) { s.Process.Label = "system_u:system_r:spc_t" }, user, "label=system_u:system_r:spc_t"},
		"relabelled as nobody knows":  {func(s *wire.Spec) { mount(wire.MountVolume, "v", "/v")(s); s.Mounts[0].Relabel = "x" }, root, "relabelled"},
		"two words for AppArmor":      {func(s *wire.Spec) { s.Process.AppArmor = "a\nexec b" }, root, "no name"},
		"a rate without a caller":     {func(s *wire.Spec) { s.Resources.Rates = make([]wire.Rate, maxDevices) }, nil, ""},
		"too many rates":              {func(s *wire.Spec) { s.Resources.Rates = make([]wire.Rate, maxDevices+1) }, root, "rates of disks"},
		"no memory limit":             {func(s *wire.Spec) { s.Resources.Memory = 0 }, root, "memory limit"},
		"more memory than there is":   {func(s *wire.Spec) { s.Resources.Memory = 5 * gib }, root, "memory limit"},
		"unlimited swap":              {func(s *wire.Spec) { s.Resources.MemorySwap = -1 }, root, "swap"},
		"memory -1":                   {func(s *wire.Spec) { s.Resources.Memory = -1 }, root, "memory limit"},
		"swap less than memory":       {func(s *wire.Spec) { s.Resources.MemorySwap = 1 }, root, "swap"},
		"a negative reservation":      {func(s *wire.Spec) { s.Resources.MemoryReservation = -1 }, root, "reservation"},
		"a negative quota":            {func(s *wire.Spec) { s.Resources.CPUQuota = -2 }, root, "quota"},
		"processes -1":                {func(s *wire.Spec) { s.Resources.Pids = -1 }, root, "processes"},
		"no limit of processes":       {func(s *wire.Spec) { s.Resources.Pids = 0 }, root, "processes"},
		"an id beyond the range":      {func(s *wire.Spec) { s.Process.User.UID = idmap.Size }, root, "ids"},
		"a group beyond the range":    {func(s *wire.Spec) { s.Process.User.Groups = []uint32{1 << 31} }, root, "group"},
		"a sandbox of another's":      {joins(strings.Repeat("a", 64), unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWPID), nil, ""},
		"a sandbox that is a path":    {joins("../../1", unix.CLONE_NEWNET), root, "cannot be joined"},
		"a sandbox of nobody's":       {joins("", unix.CLONE_NEWPID), root, "cannot be joined"},
		"another's mounts":            {joins(strings.Repeat("a", 64), unix.CLONE_NEWNS), root, "cannot be joined"},
		"two networks": {func(s *wire.Spec) {
			joins(strings.Repeat("a", 64), unix.CLONE_NEWNET)(s)
			s.Network = wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge"}
		}, root, "cannot be joined"},
		"mount over /proc":            {mount(wire.MountTmpfs, "", "/proc/self"), root, "/proc"},
		"mount over /dev":             {mount(wire.MountTmpfs, "", "/dev/null"), root, "/dev"},
		"tmpfs without bounds":        {func(s *wire.Spec) { s.Mounts = []wire.Mount{{Kind: wire.MountTmpfs, Target: "/t"}} }, root, "size 0"},
		"larger /dev/shm":             {mount(wire.MountTmpfs, "", "/dev/shm"), root, ""},
		"target that climbs":          {mount(wire.MountTmpfs, "", "/a/../../b"), root, "clean"},
		"volume that is a path":       {mount(wire.MountVolume, "../../etc", "/v"), root, "name of a volume"},
		"hidden volume":               {mount(wire.MountVolume, ".v.removed", "/v"), root, "name of a volume"},
		"bind without a caller":       {mount(wire.MountBind, "/etc", "/v"), nil, "caller"},
		"host sysctl":                 {func(s *wire.Spec) { s.Sysctl = map[string]string{"kernel.core_pattern": "|/x"} }, root, "namespaced"},
		"sysctl that is a path":       {func(s *wire.Spec) { s.Sysctl = map[string]string{"net./../../kernel": "1"} }, root, "namespaced"},
		"sysctl with a line break":    {func(s *wire.Spec) { s.Sysctl = map[string]string{"net.x": "1\n2"} }, root, "namespaced"},
		"path to hide elsewhere":      {func(s *wire.Spec) { s.MaskedPaths = []string{"/etc/passwd"} }, root, "/proc or /sys"},
		"paths without number":        {func(s *wire.Spec) { s.MaskedPaths = make([]string, maxPaths+1) }, root, "at most"},
		"ports without number":        {func(s *wire.Spec) { s.Network.Ports = make([]wire.Port, maxPorts+1) }, root, "at most"},
		"low port by a user":          {func(s *wire.Spec) { s.Network = published(80) }, user, "administrator"},
		"low port by root":            {func(s *wire.Spec) { s.Network = published(80) }, root, ""},
		"too many networks":           {func(s *wire.Spec) { s.Network.Networks = make([]uint32, wire.MaxNetworks+1) }, root, "at most 16 networks"},
		"a network without a number":  {func(s *wire.Spec) { s.Network.Networks = []uint32{5, 0} }, root, "networks"},
		"a network twice":             {func(s *wire.Spec) { s.Network.Networks = []uint32{5, 6, 5} }, root, "in each once"},
		"another network":             {func(s *wire.Spec) { s.Network = wire.Network{Mode: "host"} }, root, "network"},
		"priority by a user":          {func(s *wire.Spec) { s.Process.Rlimits = []wire.Rlimit{{Type: "rtprio", Hard: 99}} }, user, "ulimits=rtprio"},
		"zero byte":                   {func(s *wire.Spec) { s.Process.Env = []string{"A=\x00"} }, root, "zero byte"},
		"no program":                  {func(s *wire.Spec) { s.Process.Args = nil }, root, "program"},
		"less killable than the host": {func(s *wire.Spec) { s.Process.OOMScoreAdj = -1 }, root, "OOM"},
	} {
		s := plain()
		c.change(&s)
		err := checkSpec(&s, c.by, 4*gib)
		if err == nil {
			_, err = w.checkNeeds(&s, c.by)
		}
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: refused: %v", name, err)
		case c.says != "" && (!errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want a refusal with %q", name, err, c.says)
		}
	}
}

// The administrator's policy takes from root as it gives to others, and one that cannot be read gives nothing to anybody.
func TestNeedsAreHeldAgainstWhatWasApplied(t *testing.T) {
	w := &Warden{cfg: Config{Root: t.TempDir()}}
	if err := os.Mkdir(filepath.Join(w.cfg.Root, rules.Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	apply := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.cfg.Root, rules.Dir, rules.File), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	more, strict := plain(), plain()
	more.Process.Capabilities.Bounding |= 1 << unix.CAP_NET_ADMIN
	strict.Process.Capabilities, strict.Process.User.UID = wire.Capabilities{}, 1000
	for _, c := range []struct {
		policy string
		spec   wire.Spec
		by     *caller
		says   string
	}{
		{`{"grants":[{"users":[1000],"allow":["capabilities=12"]}]}`, more, &caller{UID: 1000}, ""},
		{`{"grants":[{"users":[1000],"allow":["capabilities=12"]}]}`, more, &caller{}, "capabilities=12"},
		{`{"grants":[{"groups":[7],"allow":["capabilities=*"]}]}`, more, &caller{UID: 9, Groups: []uint32{7}}, ""},
		{`{"grants":[{"everyone":true,"allow":["*"]}]}`, more, nil, "capabilities=12"},
		{`{"grants":[{"users":[0],"images":["sha256:1"],"allow":["*"]}]}`, more, &caller{}, ""}, // images are brigd's
		{`{"strict":true,"grants":[]}`, strict, nil, ""},
		{`{"strict":true,"grants":[]}`, plain(), &caller{}, "levels=standard"},
		{`{"strict":true,"grants":[{"users":[0],"allow":["levels=standard"]}]}`, plain(), &caller{}, ""},
		{`{"grants":[`, plain(), &caller{}, "brig policy apply"},
	} {
		apply(c.policy)
		switch _, err := w.checkNeeds(&c.spec, c.by); {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.policy, err)
		case c.says != "" && (!errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", c.policy, err, c.says)
		}
	}
}

// What people are told that nobody gets is what nobody gets.
func TestTheFloorIsWhatPeopleAreTold(t *testing.T) {
	for i, name := range capname.All {
		if told := slices.Contains(capname.Never, name); told != (forbidden>>i&1 != 0) {
			t.Errorf("CAP_%s: told %v", name, told)
		}
	}
	if nameless := ^uint64(0) << len(capname.All); forbidden&nameless != nameless {
		t.Error("a capability without a name is given")
	}
}

func published(port uint16) wire.Network {
	return wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge", Ports: []wire.Port{{Proto: "tcp", HostPort: port, ContainerPort: 80}}}
}

func TestHiddenPathsCannotBeLeftOut(t *testing.T) {
	s := plain()
	hide(&s)
	if len(s.MaskedPaths) != len(alwaysMasked) || len(s.ReadonlyPaths) != len(alwaysReadonly) {
		t.Errorf("%v %v", s.MaskedPaths, s.ReadonlyPaths)
	}
	hide(&s)
	if len(s.MaskedPaths) != len(alwaysMasked) {
		t.Errorf("twice: %v", s.MaskedPaths)
	}
}

func TestExecutionsAreCappedAtTheirContainer(t *testing.T) {
	own := &wire.Filter{Program: make([]byte, 16)}
	ceiling := wire.Process{Capabilities: wire.Capabilities{Bounding: 0b1010}, Filter: own, OOMScoreAdj: 500, AppArmor: "mine"}
	p := wire.Process{Args: []string{"sh"}, Cwd: "/", Filter: &wire.Filter{}, NoLandlock: true, AllowNewPrivileges: true, AppArmor: "unconfined", ABI32: true,
		Capabilities: wire.Capabilities{Bounding: 0b1110, Permitted: 0b0110}}
	if err := capProcess(&p, &ceiling); err != nil {
		t.Fatal(err)
	}
	c := p.Capabilities
	if c.Bounding != 0b1010 || c.Permitted != 0b0010 {
		t.Errorf("capabilities %+v", c)
	}
	if p.Filter != own || p.NoLandlock || p.ABI32 || p.AllowNewPrivileges || p.OOMScoreAdj != 500 || p.AppArmor != "mine" {
		t.Errorf("%+v", p)
	}
}

// What the administrator gave to a container is no reason to refuse executions in it; what nobody gets, is.
func TestExecutionsMayHaveWhatTheirContainerHas(t *testing.T) {
	sets := func(mask uint64) wire.Capabilities {
		return wire.Capabilities{Bounding: mask, Permitted: mask}
	}
	ceiling := wire.Process{Capabilities: sets(wire.OrdinaryCaps | mask(unix.CAP_NET_RAW)), Filter: &wire.Filter{}, NoLandlock: true,
		AllowNewPrivileges: true, Rlimits: []wire.Rlimit{{Type: "rtprio", Soft: 5, Hard: 5}}}
	p := wire.Process{Args: []string{"sh"}, Cwd: "/", AllowNewPrivileges: true, Capabilities: ceiling.Capabilities}
	if err := capProcess(&p, &ceiling); err != nil || p.Capabilities != ceiling.Capabilities {
		t.Errorf("%v, %+v", err, p)
	}
	p.Capabilities, ceiling.Capabilities = sets(mask(unix.CAP_SYS_ADMIN)), sets(mask(unix.CAP_SYS_ADMIN))
	if err := capProcess(&p, &ceiling); !errdefs.IsPermissionDenied(err) {
		t.Errorf("a capability that nobody gets: %v", err)
	}
}

func TestRangesAreHandedOutOnceAndRoundRobin(t *testing.T) {
	r := newRanges()
	first, err := r.take()
	if err != nil || !sandboxBase(first) {
		t.Fatal(first, err)
	}
	r.hold(first, -1)
	if second, _ := r.take(); second == first {
		t.Error("a range was used again at once")
	}
	for _, bad := range []uint32{0, 1000, firstIDs + 1, idmap.VolumeBase, ownIDs} {
		if sandboxBase(bad) {
			t.Errorf("%#x begins a range", bad)
		}
	}
	n := 1
	for ; err == nil; n++ {
		_, err = r.take()
	}
	if want := (idmap.VolumeBase - firstIDs) / idmap.Size; n-1 != want || !strings.Contains(err.Error(), "brig rm") {
		t.Errorf("%d ranges, want %d: %v", n-1, want, err)
	}
}

// What no container may have is refused by what it is, and the sentence says why.
func TestTheEnginesOwnDirectoriesAreGivenToNobody(t *testing.T) {
	top := t.TempDir()
	w := &Warden{cfg: Config{Root: filepath.Join(top, "root"), Run: filepath.Join(top, "run")}}
	for _, d := range []string{filepath.Join(w.cfg.Root, "store"), w.cfg.Run, filepath.Join(top, "other")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(w.cfg.Root, filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	for path, why := range map[string]string{
		filepath.Join(w.cfg.Root, "store"): "belongs to", filepath.Join(top, "link"): "belongs to", top: "lies below it",
		"/": "", "/proc/sys": "belongs to /proc", "/dev/null": "belongs to /dev", filepath.Join(top, "other"): "-",
	} {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = w.bindable(fd)
		unix.Close(fd)
		if why == "-" != (err == nil) || err != nil && (!errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), why)) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
