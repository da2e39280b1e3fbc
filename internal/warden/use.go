package warden

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
)

// containerFreeze waits for the processes without the container's lock: one that waits for a disk stands still later.
func (w *Warden) containerFreeze(q wire.ContainerFreeze) (any, error) {
	c, err := w.running(q.ID)
	if err != nil {
		return nil, err
	}
	g := w.parent.Open(q.ID)
	err = g.Tell(q.Frozen)
	c.mu.Unlock()
	if err == nil {
		err = g.Await(q.Frozen)
	}
	if err != nil && q.Frozen {
		_ = g.Tell(false)
	}
	return nil, err
}

func (w *Warden) containerUpdate(_ *container, q wire.ContainerUpdate) (wire.Reply, error) {
	var r refusal
	if checkResources(&r, &q.Resources, w.facts.Memory); r.texts != nil {
		return wire.Reply{}, r.err()
	}
	return wire.Reply{}, w.parent.Open(q.ID).Update(q.Resources)
}

// containerStats opens what brigd reads the use of a container from, again and again: files of its control group,
// which it may not open.
func (w *Warden) containerStats(_ *container, q wire.ContainerRef) (wire.Reply, error) {
	names, fds := w.parent.Open(q.ID).Readings()
	return wire.Reply{Body: wire.ContainerStats(names), FDs: fds}, nil
}

// Bounds of what is told about processes: how many, and bytes of one text and of all command lines. As JSON all of it is
// below the largest message, also if every byte of a command line has to be escaped.
const (
	maxProcesses  = 2048
	maxProcText   = 384 // holds what is read of stat and status
	maxCmdline    = 4096
	totalCmdlines = 256 << 10
	maxLookers    = 4
)

// lookers is a place for each reading of processes that is under way.
var lookers = make(chan struct{}, maxLookers)

// containerProcs tells what the kernel says of each process, as it says it. Command lines are the processes' own words,
// and read from their memory, which may take as long as they like: the container is not locked meanwhile, and few at a time
// may be waited for.
func (w *Warden) containerProcs(q wire.ContainerRef) (any, error) {
	select {
	case lookers <- struct{}{}:
		defer func() { <-lookers }()
	default:
		return nil, fmt.Errorf("%d lists of processes are being made: %w", maxLookers, errdefs.ErrResourceExhausted)
	}
	c, err := w.running(q.ID)
	if err != nil {
		return nil, err
	}
	pids, err := w.parent.Open(q.ID).Processes()
	c.mu.Unlock()
	list, left := wire.ContainerProcs{}, totalCmdlines
	for _, pid := range pids[:min(len(pids), maxProcesses)] {
		t := wire.ProcTexts{Stat: procText(pid, "stat", maxProcText), Status: procText(pid, "status", maxProcText),
			Cmdline: procText(pid, "cmdline", min(maxCmdline, left))}
		left -= len(t.Cmdline)
		if strings.Contains(procText(pid, "cgroup", maxCmdline), "/"+q.ID) { // read last: the number means no other process by now
			list = append(list, t)
		}
	}
	return list, err
}

// procText is the beginning of a file about a process, or "" if there is none any more.
func procText(pid, name string, most int) string {
	f, err := os.Open("/proc/" + pid + "/" + name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, int64(most)))
	return strings.ToValidUTF8(string(b), "?")
}
