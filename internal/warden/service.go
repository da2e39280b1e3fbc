package warden

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/landlock"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// Ids of the engine's own unprivileged processes, on the host.
const (
	brigdID   = ownIDs + 1
	routerID  = ownIDs + 2
	workerID  = ownIDs + 0x100 // and the 255 after it, in turn
	workerIDs = 256
	insideID  = 65534 // a worker's id in its own user namespace
)

// What brig-router has for good, and what it needs beside until the network is open: the right to enter its namespace
// and to load programs.
var (
	routerSteady = mask(unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE)
	routerStart  = routerSteady | mask(unix.CAP_SYS_ADMIN)
)

// readable are host files that brigd may look at: names, certificates, resolvers.
var readable = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates",
	"/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/localtime", "/usr/share/zoneinfo", "/proc/sys/net/core/somaxconn",
	"/etc/cdi", "/run/cdi", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/dev/null", "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"}

// service is one of the engine's own processes before its birth.
type service struct {
	plan.ServiceInput
	parts
	filter string // name of its system-call filter
	group  string // control group, of its own
	bounds wire.Resources
	domain *domain // nil: it has a root without files instead
}

// domain is a Landlock domain: it handles that, as far as this kernel can, and allows paths. A path that this host does not
// have needs no rule.
type domain struct {
	handled landlock.Ruleset
	paths   map[string]uint64
}

// everything but some of what is done with TCP ports.
func everything(net uint64) landlock.Ruleset {
	r := landlock.Everything(landlock.Newest)
	r.Net &= net
	return r
}

// connected starts a process with one end of a connection of which this one keeps the other.
func connected[P any](peer string, start func(theirs int) (P, error)) (conn *wire.Conn, p P, err error) {
	conn, theirs, err := wire.Pair(peer)
	if err != nil {
		return nil, p, err
	}
	defer unix.Close(theirs)
	if p, err = start(theirs); err != nil {
		conn.Close()
	}
	return conn, p, err
}

// startBrigd gives birth to brigd: no capability, an id of its own, a filter. It sees its own directories, and a few
// files of the host for reading. Listening on TCP is refused; connecting is not, since it talks to registries.
func (w *Warden) startBrigd(conn int) (int, error) {
	state, run := filepath.Join(w.cfg.Root, "daemon"), filepath.Join(w.cfg.Run, "daemon")
	d := domain{everything(unix.LANDLOCK_ACCESS_NET_BIND_TCP), map[string]uint64{}}
	for _, p := range readable {
		d.paths[p] = landlock.Read
	}
	for _, dir := range []string{state, run} {
		err := cmp.Or(os.MkdirAll(dir, 0o700), os.Lchown(dir, brigdID, brigdID), enterable(filepath.Dir(dir)))
		if err != nil {
			return -1, err
		}
		d.paths[dir] = ^uint64(unix.LANDLOCK_ACCESS_FS_EXECUTE)
	}
	return w.startService(&service{filter: "brigd", group: "brigd", domain: &d,
		bounds: wire.Resources{Memory: max(w.memory/4, 256<<20), Pids: 4096, CPUShares: 2048},
		parts:  parts{fds: map[string]int{"fd0": w.cfg.Listener, "fd1": conn, "fd2": w.cfg.Ready}},
		ServiceInput: plan.ServiceInput{Args: []string{"brigd", "--state", state, "--run", run},
			Env: []string{"PATH=/usr/bin:/bin", "HOME=" + state}, FDs: 3, UID: brigdID, GID: brigdID}})
}

// enterable checks that brigd, which has no privilege, can walk to its directories.
func enterable(dir string) error {
	for ; dir != "/"; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if st.Mode()&0o001 == 0 {
			return fmt.Errorf("the engine's directory lies below %s, which only its owner may enter, and brigd runs without "+
				"privileges. Next: chmod o+x %s, or choose another directory", dir, dir)
		}
	}
	return nil
}

// routerDomain: settings of the network, which the kernel lets brig-router change in the namespaces that its capability
// is good for, and no other file. It binds ports for containers and connects nowhere.
var routerDomain = domain{everything(^uint64(unix.LANDLOCK_ACCESS_NET_BIND_TCP)), map[string]uint64{
	"/proc/sys/net": unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE}}

// startRouter gives birth to brig-router: an id of its own, two capabilities and a third to begin with, a filter.
func (w *Warden) startRouter(conn int) (int, error) {
	// The router holds the directory open, so that its Landlock rule goes on meaning it: the kernel forgets what nobody
	// uses of /proc, and makes it anew.
	settings, err := unix.Open("/proc/sys/net", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /proc/sys/net: %w", err)
	}
	defer unix.Close(settings)
	return w.startService(&service{filter: "router", group: "brig-router", domain: &routerDomain,
		bounds: wire.Resources{Memory: max(w.memory/8, 512<<20), Pids: 256, CPUShares: 2048},
		parts:  parts{fds: map[string]int{"fd0": conn, "fd1": settings}},
		ServiceInput: plan.ServiceInput{Args: []string{"brig-router"}, FDs: 2, UID: routerID, GID: routerID,
			Capabilities: routerStart, Steady: routerSteady}})
}

// startWorker gives birth to a worker with one descriptor, its socket, as an id of the host that has nothing.
func (w *Warden) startWorker(socket int) (*worker, error) {
	ids := idmap.Extent{Inside: insideID, Outside: uint32(workerID + w.workers.Add(1)%workerIDs), Size: 1}
	user, err := idmap.NewUserns(ids, ids)
	if err != nil {
		return nil, err
	}
	defer unix.Close(user)
	return w.birthOfWorker(&service{filter: "worker", domain: &domain{handled: everything(^uint64(0))},
		parts:        parts{fds: map[string]int{"userns": user, "fd0": socket}},
		ServiceInput: plan.ServiceInput{UID: insideID, GID: insideID}})
}

// copying is what it takes to copy owners and modes.
var copying = mask(unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID)

// birthOfWorker: a worker that a stranger's bytes have conquered can waste its bounds, and no more.
func (w *Warden) birthOfWorker(s *service) (*worker, error) {
	s.group, s.atGate = fmt.Sprint(workerGroup, w.workers.Add(1)), workerLimits
	s.bounds = wire.Resources{Memory: min(2<<30, w.memory/4), Pids: 64, CPUShares: 512}
	s.Args, s.FDs, s.Worker = []string{"brig-worker"}, s.FDs+1, true
	fd, err := w.startService(s)
	return &worker{pidfd: fd, group: s.group}, err
}

func workerLimits(pid int) error {
	for kind, limit := range map[int]uint64{unix.RLIMIT_NOFILE: 512, unix.RLIMIT_CORE: 1, unix.RLIMIT_MSGQUEUE: 0} {
		if err := idmap.Prlimit(pid, kind, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("limits of a worker: %w", err)
		}
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("900"), 0) // the first to go; not the engine's -500
}

// startService gives birth to a process of the engine and returns its pidfd. A control group that outlived its warden
// ends with the old process in it, so there are never two.
func (w *Warden) startService(s *service) (fd int, err error) {
	w.removeGroup(s.group)
	defer func() {
		wire.CloseAll(s.own)
		if err != nil {
			w.removeGroup(s.group)
			err = fmt.Errorf("start %s: %w", s.Args[0], err)
		}
	}()
	s.host = w.host
	group, err := w.parent.Create(s.group, s.bounds)
	if err == nil {
		err = s.enter(group)
	}
	if err == nil {
		err = s.confine(w.abi, []plan.Filter{{Name: s.filter + "'s", Code: w.filters[s.filter]}}, s.domain)
	}
	if err != nil {
		return -1, err
	}
	s.fds["exe"], s.fds["stdin"], s.fds["stdout"], s.fds["stderr"] = int(w.programs[s.Args[0]].Fd()), w.null, 2, 2
	s.Host = s.host
	p, err := plan.Service(s.ServiceInput)
	if err != nil {
		return -1, err
	}
	_, fd, err = plan.Start(p, s.fds, s.cgroup, s.atGate)
	return fd, err
}

// ruleset makes the domain.
func (d *domain) ruleset(abi landlock.ABI) (int, error) {
	set, err := landlock.Create(abi, d.handled)
	if err != nil {
		return -1, err
	}
	for p, access := range d.paths {
		access &= d.handled.FS & landlock.Everything(abi).FS
		if access == 0 {
			continue
		}
		if err := landlock.Allow(set, access, p); err != nil {
			unix.Close(set)
			return -1, err
		}
	}
	return set, nil
}
