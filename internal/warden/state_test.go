package warden

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/machine"
	"github.com/brig-engine/brig/internal/kernel/landlock"
	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/disk"
	"github.com/brig-engine/brig/internal/wire"
)

// newWarden is one with control groups, directories and a keeper that nobody reads, and without a network.
func newWarden(t *testing.T) *Warden {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	dir := t.TempDir()
	w := &Warden{cfg: Config{Root: dir + "/root", Run: dir + "/run"}, live: map[string]*container{}, ranges: newRanges(),
		disk: &disk.Disk{Base: dir + "/root"}}
	instance := fmt.Sprintf("brigtest-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	w.facts.NetworkError = "none here"
	w.router = &router{w: w}
	conn, theirs, err := wire.Pair("keeper")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); unix.Close(theirs) })
	w.keep = &keep{conn}
	where, err := machine.Prepare(instance)
	if err := errors.Join(err, os.MkdirAll(w.cfg.Run, 0o755), wire.WriteJSON(w.cfg.Run+"/"+wire.MachineFile, where), w.openMachine()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.parent.Remove(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// A container that is removed twice and started again is not forgotten by the end of the second removal.
func TestASecondRemovalForgetsNoOtherContainer(t *testing.T) {
	w := newWarden(t)
	id := newID()
	first := w.locked(id)
	first.mu.Unlock()
	nothing := func() error { return nil }
	w.forget(first, nil, nothing)
	again := w.locked(id)
	again.mu.Unlock()
	streams := w.streamDir(id)
	if err := os.MkdirAll(streams, 0o700); err != nil {
		t.Fatal(err)
	}
	w.forget(first, nil, nothing)
	if w.live[id] != again {
		t.Error("the container that was started is not known any more")
	}
	if _, err := os.Stat(streams); err != nil {
		t.Errorf("its streams: %v", err)
	}
}

// An endpoint of a container that ended under an earlier warden is not released by this one's router, which may have given
// its interface's number, and its address, to another container.
func TestANewRouterReleasesNothingOfContainersThatHaveEnded(t *testing.T) {
	w := newWarden(t)
	var released atomic.Int32
	w.router = newRouter(t, func(r *wire.Request) (wire.Reply, error) {
		if r.Op == wire.OpEndpointRelease {
			released.Add(1)
		}
		return wire.Reply{}, nil
	})
	w.router.w, w.facts.NetworkError = w, ""
	n := &note{ID: newID()}
	n.Started.Endpoint = &wire.Endpoint{Addr: w.router.reply.Gateway.Next(), Ifindex: 65537, Name: "ep1"}
	n.Exit = &wire.Exit{}
	w.adoptContainer(n, nil)
	if released.Load() != 0 {
		t.Error("the endpoint was released")
	}
}

// A reply about a container is written while its networks change: what the reply leads to stays as it was.
func TestAChangeOfNetworksTouchesNoReplyUnderWay(t *testing.T) {
	w := newWarden(t)
	w.router = newRouter(t, func(*wire.Request) (wire.Reply, error) { return wire.Reply{}, nil })
	w.router.w, w.facts.NetworkError = w, ""
	w.notes.dir = t.TempDir()
	n := &note{ID: newID()}
	n.Started.Endpoint = &wire.Endpoint{Addr: w.router.reply.Gateway.Next(), Ifindex: 65537, Name: "ep1"}
	w.live[n.ID] = &container{id: n.ID, note: n}
	reply := n.Started
	if _, err := w.networkJoin(w.live[n.ID], wire.NetworkJoin{ID: n.ID, Membership: wire.Membership{Networks: []uint32{7}}}); err != nil {
		t.Fatal(err)
	}
	if len(reply.Endpoint.Networks) != 0 || len(n.Started.Endpoint.Networks) != 1 {
		t.Errorf("the reply has %v, the note %v", reply.Endpoint, n.Started.Endpoint)
	}
	w.notes.dir += "/none"
	_, err := w.networkJoin(w.live[n.ID], wire.NetworkJoin{ID: n.ID, Membership: wire.Membership{Confined: true}})
	if err == nil || n.Started.Endpoint.Confined {
		t.Errorf("a change that could not be noted: %v, the note has %v", err, n.Started.Endpoint)
	}
}

// directories lists what there is of a group in all hierarchies.
func directories(t *testing.T, instance, id string) (found []string) {
	t.Helper()
	out, _ := exec.Command("find", "/sys/fs/cgroup", "-type", "d", "-path", "*/"+instance+"/"+id).Output()
	return strings.Fields(string(out))
}

// A crash in the middle of a removal leaves a group in some hierarchies: it goes nevertheless, or nothing could be started
// under its name.
func TestAGroupThatIsHalfGoneIsRemoved(t *testing.T) {
	w := newWarden(t)
	if _, err := w.parent.Create("half", wire.Resources{Memory: 64 << 20, Pids: 64}); err != nil {
		t.Fatal(err)
	}
	all := directories(t, w.facts.Instance, "half")
	if len(all) < 2 {
		w.removeGroup("half")
		t.Skip("missing: control groups of version 1")
	}
	for _, dir := range all {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.kill")); err == nil {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.removeGroup("half")
	left := directories(t, w.facts.Instance, "half")
	for _, dir := range left {
		os.Remove(dir)
	}
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A rule that cannot be made is an error, unless the host does not have the path.
func TestARuleThatCannotBeMadeIsAnError(t *testing.T) {
	abi := landlock.ABI(machine.Landlock())
	if abi == 0 {
		t.Skip("missing: Landlock")
	}
	dir := t.TempDir()
	if err := errors.Join(os.Symlink("loop", dir+"/loop"), os.WriteFile(dir+"/file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, fails := range map[string]bool{dir: false, dir + "/missing": false, dir + "/file/below": false, dir + "/loop": true} {
		d := domain{landlock.Everything(abi), map[string]uint64{path: landlock.Read}}
		set, err := d.ruleset(abi)
		if err == nil {
			unix.Close(set)
		}
		if (err != nil) != fails {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The number of a process that is gone may be anybody's: nothing of that process is opened.
func TestNothingIsExecutedByTheNumberOfAProcessThatIsGone(t *testing.T) {
	w := newWarden(t)
	id := newID()
	if _, err := w.parent.Create(id, wire.Resources{Memory: 64 << 20, Pids: 64}); err != nil {
		t.Fatal(err)
	}
	defer w.removeGroup(id)
	n := &note{ID: id, process: process{pidfd: -1}}
	n.Started.PID = os.Getpid()
	p := newProgram(w, &container{id: id, note: n}, nil, &wire.Process{}, &process{})
	defer func() { wire.CloseAll(p.own) }()
	if err := p.joinGroup(); !errdefs.IsConflict(err) || len(p.own) != 0 {
		t.Errorf("got %v and %d descriptors", err, len(p.own))
	}
}

func TestNoWorkerOutlivesItsBrigd(t *testing.T) {
	r := newRig(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0]) // the worker is not told
	worker := r.call(wire.OpWorkerStart, wire.WorkerStart{Stays: true}, nil, pair[1])[0]
	unix.Close(pair[1])
	defer unix.Close(worker)
	r.peer.Close() // brigd ends
	r.accept()
	if ended, err := pidfd.Ended(worker, 5*time.Second); !ended {
		t.Errorf("the worker lives (%v)", err)
	}
}

// What the closed list has and is built has a handler, and there is no other.
func TestEveryOperationHasAHandler(t *testing.T) {
	table := (&Warden{}).table()
	for op, rule := range wire.Known {
		if built := rule.Most >= 0; built != (table[op] != nil) {
			t.Errorf("%s: built %v", op, built)
		}
		delete(table, op)
	}
	if len(table) > 0 {
		t.Errorf("nobody can ask for %v", table)
	}
}
