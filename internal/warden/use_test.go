package warden

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

// canBeWatchedAndPaused is a part of TestContainerLives.
func (r *rig) canBeWatchedAndPaused(t *testing.T, image string) {
	id := newID()
	ref := wire.ContainerRef{ID: id}
	for _, op := range []wire.Op{wire.OpContainerFreeze, wire.OpContainerStats, wire.OpContainerProcs} {
		if _, err := r.try(op, ref, nil); !errdefs.IsNotFound(err) {
			t.Errorf("%s of what never ran: %v", op, err)
		}
	}
	s := spec(image, "sh", "-c", "while :; do :; done & exec sleep 60")
	s.Network = wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge"}
	p := r.run(id, s)

	var use wire.ContainerStats
	fds := r.call(wire.OpContainerStats, ref, &use)
	defer wire.CloseAll(fds)
	text := map[string]string{}
	b := make([]byte, 16<<10)
	for i, fd := range fds {
		n, err := unix.Pread(fd, b, 0)
		if err != nil {
			t.Errorf("%s: %v", use[i], err)
		}
		text[use[i]] = string(b[:max(n, 0)])
	}
	r.canBeLookedAt(t, id, text)
	for file, want := range map[string]string{"cpu.stat": "usage_usec", "net/dev": "eth0:"} {
		if !strings.Contains(text[file], want) {
			t.Errorf("%s: %q", file, text[file])
		}
	}

	var list wire.ContainerProcs
	for range 100 { // process 1 is a shell before it is sleep
		list = wire.ContainerProcs{}
		if r.call(wire.OpContainerProcs, ref, &list); strings.Contains(fmt.Sprint(list), "(sleep)") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	uid := fmt.Sprintf("Uid:\t%d", p.started.Range)
	if len(list) != 2 || !strings.Contains(list[0].Status, uid) ||
		!strings.HasPrefix(list[0].Stat, fmt.Sprint(p.started.PID, " (")) {
		t.Errorf("%+v; process 1 is %d of %s", list, p.started.PID, uid)
	}

	freeze := func(frozen bool) {
		t.Helper()
		r.call(wire.OpContainerFreeze, wire.ContainerFreeze{ID: id, Frozen: frozen}, nil)
	}
	bounds := wire.Resources{Memory: 32 << 20, Pids: 5, CPUShares: 512}
	freeze(true)
	_, err := r.try(wire.OpExecStart, wire.ExecStart{ID: id, Exec: "x", Process: s.Process}, &wire.Started{})
	if !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "is paused") {
		t.Errorf("execution in a paused container: %v", err)
	}
	r.call(wire.OpContainerUpdate, wire.ContainerUpdate{ID: id, Resources: bounds}, nil)
	freeze(false)
	for _, bad := range []wire.Resources{{Memory: 1, Pids: 5}, {Memory: 32 << 20}, {Memory: 1 << 60, Pids: 5},
		{Memory: 32 << 20, MemorySwap: -1, Pids: 5}} {
		if _, err := r.try(wire.OpContainerUpdate, wire.ContainerUpdate{ID: id, Resources: bad}, nil); !errdefs.IsPermissionDenied(err) {
			t.Errorf("update below the floor, %+v: %v", bad, err)
		}
	}
	freeze(true)
	r.call(wire.OpContainerSignal, wire.ContainerSignal{ID: id, Signal: int(unix.SIGKILL)}, nil)
	if _, exit := p.wait(); exit.Code != 137 {
		t.Errorf("a paused container was killed: %+v", exit)
	}
	if _, err := r.try(wire.OpContainerStats, ref, &use); !errdefs.IsConflict(err) {
		t.Errorf("readings of what has ended: %v", err)
	}
	r.call(wire.OpContainerRemove, ref, nil)
}

// canBeLookedAt: what was asked for is told, and of what is not in the list nothing.
func (r *rig) canBeLookedAt(t *testing.T, id string, text map[string]string) {
	t.Helper()
	var net, status, odd wire.ContainerView
	r.call(wire.OpContainerView, wire.ContainerLook{ID: id, Names: []string{"net/dev"}}, &net)
	r.call(wire.OpContainerView, wire.ContainerLook{ID: id, Names: []string{"status", "ns/user"}}, &status)
	r.call(wire.OpContainerView, wire.ContainerLook{ID: id, Names: []string{"environ", "../1/environ", "/etc/shadow"}}, &odd)
	if len(net) != 1 || len(odd) != 0 {
		t.Errorf("net/dev: %+v; what is not in the list: %+v", net, odd)
	}
	ours, _ := os.Readlink("/proc/self/ns/user")
	if user := status["ns/user"]; len(status) != 2 || !strings.Contains(status["status"], "Seccomp:") ||
		!strings.HasPrefix(user, "user:[") || user == ours {
		t.Errorf("status: %+v", status)
	}
	text["net/dev"] = net["net/dev"]
}

// What is told of the worst crowd fits into one message.
func TestProcessesFitIntoAMessage(t *testing.T) {
	fill := func(s string) string { return s + strings.Repeat("9", maxProcText-len(s)) } // the kernel's numbers
	worst := wire.ProcTexts{Stat: fill("4194304 (" + strings.Repeat("\x01", 15) + ") S "),
		Status: fill("Name:\t" + strings.Repeat(`\001`, 15) + strings.Repeat("\n\t", 30))}
	list := wire.ContainerProcs{}
	for range maxProcesses {
		list = append(list, worst)
	}
	for i, left := 0, totalCmdlines; left > 0; i, left = i+1, left-maxCmdline {
		list[i].Cmdline = strings.Repeat("\x01", maxCmdline)
	}
	b, err := json.Marshal(list)
	if err != nil || len(b) > wire.MaxBody {
		t.Errorf("%d bytes, at most %d; %v", len(b), wire.MaxBody, err)
	}
}
