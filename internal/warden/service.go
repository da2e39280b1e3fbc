package warden

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/landlock"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// Ids of the engine's own unprivileged processes, on the host.
const (
	brigdID   = ownIDs + 1
	routerID  = ownIDs + 2
	storeID   = ownIDs + 3
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
	"/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/localtime", "/usr/share/zoneinfo", "/proc/sys/net/core/somaxconn", "/proc/stat",
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
func (w *Warden) startBrigd(conn, store int) (int, error) {
	state, run := filepath.Join(w.cfg.Root, "daemon"), filepath.Join(w.cfg.Run, "daemon")
	d := domain{everything(unix.LANDLOCK_ACCESS_NET_BIND_TCP), map[string]uint64{}}
	for _, p := range append(readable, filepath.Join(w.cfg.Root, rules.Dir)) {
		d.paths[p] = landlock.Read
	}
	for _, dir := range []string{state, run} {
		d.paths[dir] = ^uint64(unix.LANDLOCK_ACCESS_FS_EXECUTE)
	}
	return w.startService(&service{filter: "brigd", group: "brigd", domain: &d,
		bounds: wire.Resources{Memory: max(w.facts.Memory/4, 256<<20), Pids: 4096, CPUShares: 2048, CPUWeight: 174},
		parts:  parts{fds: map[string]int{"fd0": w.cfg.Listener, "fd1": conn, "fd2": w.cfg.Ready, "fd3": store}},
		ServiceInput: plan.ServiceInput{Args: []string{"brigd", "--state", state, "--run", run},
			Env: []string{"PATH=/usr/bin:/bin", "HOME=" + state}, FDs: 4, UID: brigdID, GID: brigdID}})
}

// startStore gives birth to brig-store: an id of its own, which the objects belong to, their directory, a filter. It answers
// the warden and brigd, and asks the warden for workers.
func (w *Warden) startStore(warden, workers, brigd int) (int, error) {
	dir := filepath.Join(w.cfg.Root, "store")
	return w.startService(&service{filter: "store", group: "brig-store",
		domain:       &domain{everything(^uint64(0)), map[string]uint64{dir: ^uint64(unix.LANDLOCK_ACCESS_FS_EXECUTE)}},
		bounds:       wire.Resources{Memory: max(w.facts.Memory/4, 256<<20), Pids: 256, CPUShares: 2048, CPUWeight: 174},
		parts:        parts{fds: map[string]int{"fd0": warden, "fd1": workers, "fd2": brigd}},
		ServiceInput: plan.ServiceInput{Args: []string{"brig-store", dir}, FDs: 3, UID: storeID, GID: storeID}})
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
		bounds: wire.Resources{Memory: max(w.facts.Memory/8, 512<<20), Pids: 256, CPUShares: 2048, CPUWeight: 174},
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
	s.group = fmt.Sprint(workerGroup, w.workers.Add(1))
	s.Limits = workerLimits
	s.bounds = wire.Resources{Memory: min(2<<30, w.facts.Memory/4), Pids: 64, CPUShares: 512, CPUWeight: 59}
	s.Args, s.FDs, s.Worker = []string{"brig-worker"}, s.FDs+1, true
	fd, err := w.startService(s)
	return &worker{pidfd: fd, group: s.group}, err
}

var workerLimits = plan.Limits{OOMScoreAdj: "900", // the first to go; not the engine's -500
	Resources: []plan.Limit{{Name: "nofile", Kind: unix.RLIMIT_NOFILE, Soft: 512, Hard: 512},
		{Name: "core", Kind: unix.RLIMIT_CORE, Soft: 1, Hard: 1}, {Name: "msgqueue", Kind: unix.RLIMIT_MSGQUEUE}}}

// startService gives birth to a process of the engine and returns its pidfd. A control group that outlived its warden
// ends with the old process in it, so there are never two.
func (w *Warden) startService(s *service) (fd int, err error) {
	w.removeGroup(s.group)
	defer func() {
		wire.CloseAll(s.own)
		s.entry.leave()
		if err != nil {
			w.removeGroup(s.group)
			err = fmt.Errorf("start %s: %w", s.Args[0], err)
		}
	}()
	s.host = w.host
	s.host.Limits, s.host.Resources = s.Limits, slices.Clone(s.Resources)
	group, err := w.parent.Create(s.group, s.bounds)
	if err == nil {
		s.entry, err = enter(group)
	}
	if err == nil {
		err = errors.Join(raised(s.host.Resources), s.confine(landlock.ABI(w.facts.Landlock), []plan.Filter{{Name: s.filter + "'s", Code: w.filters[s.filter]}}, s.domain))
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
	_, fd, err = calls.Start(p, s.fds, s.entry.child, nil)
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

// workerStart starts a confined worker for brigd, which talks to it over the socket that came along.
func (w *Warden) workerStart(r *wire.Request, q wire.WorkerStart) (wire.Reply, error) {
	k, err := w.startWorker(r.FDs[0])
	if err != nil {
		return wire.Reply{}, err
	}
	if !q.Stays {
		k.patience = workerPatience
	}
	theirs, err := dups(k.pidfd)
	w.background.Go(func() { w.reapWorker(k) })
	return wire.Reply{FDs: theirs}, err
}

// workerPatience is longer than any honest job takes.
const workerPatience = 2 * time.Hour

// worker is a running worker.
type worker struct {
	pidfd    int
	group    string
	patience time.Duration // how long it may live; 0 for the forwarder, which lives as long as its brigd
}

// workerGroup begins the name of a worker's control group.
const workerGroup = "worker-"

// killWorkers ends those of a brigd that has ended: nobody talks to them any more, and one that was conquered may not
// care that its socket was closed.
func (w *Warden) killWorkers() error {
	groups, err := w.parent.List()
	for _, id := range groups {
		if strings.HasPrefix(id, workerGroup) {
			w.parent.Open(id).Kill()
		}
	}
	return err
}

// reapWorker waits until a worker has ended and removes its control group.
func (w *Warden) reapWorker(k *worker) {
	if k.patience > 0 { // one that was conquered may not care that its socket was closed
		defer time.AfterFunc(k.patience, func() { pidfd.Signal(k.pidfd, unix.SIGKILL) }).Stop()
	}
	if err := await(k.pidfd); err != nil {
		w.log("worker: %v", err)
	}
	pidfd.Wait(k.pidfd, false)
	unix.Close(k.pidfd)
	w.removeGroup(k.group)
}

// errand has a worker do something with files that a container gets, and waits for its end. Nothing that it says is read
// beyond whether it has failed.
func (w *Warden) errand(start func(socket int) (*worker, error), job wire.Errand, fds ...int) error {
	conn, k, err := connected("worker", start)
	if err != nil {
		return err
	}
	c := client.New(conn, "the worker")
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err = c.Call(ctx, wire.OpJob, job, nil, fds...); err != nil {
		err = fmt.Errorf("%s: %w", job.Kind, err)
	}
	pidfd.Signal(k.pidfd, unix.SIGKILL) // it has said what it had to say, and one that was conquered may stay
	w.reapWorker(k)
	return err
}
