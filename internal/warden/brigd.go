package warden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/landlock"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

// Ids of the engine's own unprivileged processes, on the host.
const (
	brigdID    = ownIDs + 1
	routerID   = ownIDs + 2
	workerID   = ownIDs + 0x100 // and the 255 after it, in turn
	workerIDs  = 256
	insideID   = 65534 // a worker's id in its own user namespace
	brigdPause = 100 * time.Millisecond
	// servedPatience is for operations under way when a brigd ends; the longest is the check of an index.
	servedPatience = 6 * time.Minute
	// stopPatience is for a brigd that was told to stop all containers.
	stopPatience = 2 * time.Minute
)

// readable are host files that brigd may look at: names, certificates, resolvers.
var readable = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates",
	"/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/localtime", "/usr/share/zoneinfo", "/proc/sys/net/core/somaxconn",
	"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/dev/null", "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"}

// superviseBrigd keeps a brigd running until this process is told to stop.
func (w *Warden) superviseBrigd() error {
	for {
		ended, err := w.runBrigd()
		if err != nil {
			return err
		}
		select {
		case <-w.stopping:
			return nil
		case <-time.After(brigdPause):
			w.log("brigd ended (%v); starting another one", ended)
		}
	}
}

// runBrigd starts one brigd, serves it, and returns how it ended.
func (w *Warden) runBrigd() (pidfd.Status, error) {
	conn, theirs, err := wire.Pair("brigd")
	if err != nil {
		return pidfd.Status{}, err
	}
	defer conn.Close()
	fd, err := w.startBrigd(theirs)
	unix.Close(theirs)
	if err != nil {
		return pidfd.Status{}, fmt.Errorf("start brigd: %w", err)
	}
	defer unix.Close(fd)
	w.setBrigd(fd)
	w.orphanExecs()
	served := make(chan struct{})
	go func() {
		defer close(served)
		wire.Serve(conn, wire.Known, w.handle)
		// It has ended, or has sent what no brigd of this build sends: there is no talking on with it.
		conn.Close()
		select {
		case <-w.stopping:
		default:
			pidfd.Signal(fd, unix.SIGKILL)
		}
	}()
	if err := await(fd); err != nil {
		return pidfd.Status{}, err
	}
	conn.Close()
	select {
	case <-served:
	case <-time.After(servedPatience):
		return pidfd.Status{}, errors.New("an operation of the brigd that ended does not end")
	}
	w.setBrigd(-1)
	return pidfd.Wait(fd, false)
}

func (w *Warden) setBrigd(fd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.brigd = fd
}

// startBrigd gives birth to brigd: no capability, an id of its own, Landlock, a filter.
func (w *Warden) startBrigd(conn int) (int, error) {
	state, run := filepath.Join(w.cfg.Root, "daemon"), filepath.Join(w.cfg.Run, "daemon")
	for _, dir := range []string{state, run} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return -1, err
		}
		if err := os.Lchown(dir, brigdID, brigdID); err != nil {
			return -1, err
		}
		if err := enterable(filepath.Dir(dir)); err != nil {
			return -1, err
		}
	}
	in := plan.ServiceInput{Args: []string{"brigd", "--state", state, "--run", run}, Env: []string{"PATH=/usr/bin:/bin", "HOME=" + state},
		FDs: 3, UID: brigdID, GID: brigdID, Host: w.host}
	in.Filters = w.filters.service("brigd")
	fds := map[string]int{"fd0": w.cfg.Listener, "fd1": conn, "fd2": w.cfg.Ready}
	if w.abi > 0 {
		rules, err := w.brigdLandlock(state, run)
		if err != nil {
			return -1, err
		}
		defer unix.Close(rules)
		fds["landlock"] = rules
	}
	group, err := w.ownGroup("brigd", wire.Resources{Memory: max(w.facts.MemoryTotal/4, 256<<20), Pids: 4096, CPUShares: 2048})
	if err != nil {
		return -1, err
	}
	return w.startService(in, group, w.programs.brigd, fds, nil)
}

// ownGroup makes the control group of one of the engine's own processes anew: one that outlived its warden ends with the
// old one, so there are never two.
func (w *Warden) ownGroup(name string, bounds wire.Resources) (*cgroup.Group, error) {
	if old, err := w.group(name); err == nil {
		w.removeGroup(old)
	}
	return w.parent.Create(name, bounds)
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

// brigdLandlock makes the ruleset of brigd: its own directories, and a few files of the host for reading. Listening on
// TCP is refused; connecting is not, since it talks to registries.
func (w *Warden) brigdLandlock(own ...string) (int, error) {
	r := landlock.Everything(w.abi)
	r.Net &= unix.LANDLOCK_ACCESS_NET_BIND_TCP
	set, err := landlock.Create(w.abi, r)
	if err != nil {
		return -1, err
	}
	rules := map[string]uint64{}
	for _, p := range readable {
		rules[p] = landlock.Read
	}
	for _, p := range own {
		rules[p] = ^uint64(unix.LANDLOCK_ACCESS_FS_EXECUTE)
	}
	for p, access := range rules {
		if err := allow(set, p, access&r.FS); err != nil {
			unix.Close(set)
			return -1, fmt.Errorf("rule for %s: %w", p, err)
		}
	}
	return set, nil
}

// allow adds a rule for a file or directory; one that this host does not have needs none.
func allow(set int, path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= landlock.FileAccess
	}
	return landlock.Allow(set, access, fd)
}

// startService gives birth to a process of the engine in a control group that was made for it, with the descriptors that
// only it has, and returns its pidfd.
func (w *Warden) startService(in plan.ServiceInput, g *cgroup.Group, exe *os.File, fds map[string]int, atGate func(int) error) (int, error) {
	dir, tasks, err := g.Attach()
	if err != nil {
		return -1, err
	}
	defer wire.CloseAll(append(tasks, dir))
	for i, fd := range tasks {
		fds[fmt.Sprintf("tasks%d", i)] = fd
	}
	fds["exe"], fds["stdin"], fds["stdout"], fds["stderr"] = int(exe.Fd()), w.null, 2, 2
	in.Tasks = len(tasks)
	_, in.Landlock = fds["landlock"]
	p, err := plan.Service(in)
	if err != nil {
		return -1, err
	}
	_, fd, err := plan.Start(p, plan.Options{FDs: fds, Cgroup: dir, AtGate: atGate})
	return fd, err
}

// startWorker gives birth to a worker with one descriptor, its socket, in a control group of its own and as an id of the
// host that has nothing.
func (w *Warden) startWorker(socket int) (*worker, error) {
	ids := idmap.Extent{Inside: insideID, Outside: uint32(workerID + w.workers.Add(1)%workerIDs), Size: 1}
	user, err := idmap.NewUserns(ids, ids)
	if err != nil {
		return nil, err
	}
	defer unix.Close(user)
	in := plan.ServiceInput{UID: insideID, GID: insideID, Host: w.host}
	in.Filters = w.filters.service("worker")
	fds := map[string]int{"userns": user, "fd0": socket}
	if w.abi > 0 {
		set, err := landlock.Create(w.abi, landlock.Everything(w.abi))
		if err != nil {
			return nil, err
		}
		defer unix.Close(set)
		fds["landlock"] = set
	}
	return w.birthOfWorker(in, fds)
}

// startFiller gives birth to a worker that is root of a sandbox's user namespace, with the capabilities that copying
// owners and modes takes there. It sees no file system but the two directories that its job brings.
func (w *Warden) startFiller(box *sandbox, socket int) (*worker, error) {
	in := plan.ServiceInput{Host: w.host, Capabilities: mask(unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID)}
	in.Filters = w.filters.service("filler")
	return w.birthOfWorker(in, map[string]int{"userns": box.user, "fd0": socket})
}

// birthOfWorker carries out the plan of a worker in a control group of its own.
func (w *Warden) birthOfWorker(in plan.ServiceInput, fds map[string]int) (*worker, error) {
	group, err := w.parent.Create(fmt.Sprintf("worker-%d", w.workers.Add(1)), w.workerBounds())
	if err != nil {
		return nil, err
	}
	in.Args, in.FDs, in.Worker = []string{"brig-worker"}, 1, true
	fd, err := w.startService(in, group, w.programs.worker, fds, workerLimits)
	if err != nil {
		w.removeGroup(group)
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	return &worker{pidfd: fd, group: group}, nil
}

// workerBounds: a worker that a stranger's bytes have conquered can waste this much, and no more.
func (w *Warden) workerBounds() wire.Resources {
	return wire.Resources{Memory: min(2<<30, w.facts.MemoryTotal/4), Pids: 64, CPUShares: 512}
}

func workerLimits(pid int) error {
	for _, l := range []struct {
		kind  int
		limit uint64
	}{{unix.RLIMIT_NOFILE, 512}, {unix.RLIMIT_CORE, 1}, {unix.RLIMIT_MSGQUEUE, 0}} {
		if err := unix.Prlimit(pid, l.kind, &unix.Rlimit{Cur: l.limit, Max: l.limit}, nil); err != nil {
			return fmt.Errorf("limits of a worker: %w", err)
		}
	}
	return nil
}

// noRouter says why there is no network.
func (w *Warden) noRouter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Errorf("this machine cannot have the network called bridge: %w: %w. Next: --network none",
		w.routerError, errdefs.ErrFailedPrecondition)
}
