package warden

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
)

func (w *Warden) containerFreeze(q wire.ContainerFreeze) (any, error) {
	c, err := w.running(q.ID)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	g, _ := w.group(q.ID)
	if err = g.Freeze(q.Frozen); err != nil && q.Frozen {
		_ = g.Freeze(false)
	}
	return nil, err
}

func (w *Warden) containerUpdate(q wire.ContainerUpdate) (any, error) {
	var r refusal
	checkResources(&r, &q.Resources, w.facts.MemoryTotal)
	if err := r.err(); err != nil {
		return nil, err
	}
	c, err := w.running(q.ID)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	g, _ := w.group(q.ID)
	return nil, g.Update(q.Resources)
}

// containerStats opens what brigd reads the use of a container from, again and again: files of its control group, and the
// counters of its network.
func (w *Warden) containerStats(_ *wire.Request, q wire.ContainerRef) (wire.Reply, error) {
	c, err := w.running(q.ID)
	if err != nil {
		return wire.Reply{}, err
	}
	defer c.mu.Unlock()
	g, _ := w.group(q.ID)
	names, fds := g.Readings()
	net, err := unix.Open(fmt.Sprintf("/proc/%d/net/dev", c.note.Started.PID), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		names, fds = append(names, "net/dev"), append(fds, net)
	}
	return wire.Reply{Body: wire.ContainerStats{Files: names}, FDs: fds}, nil
}

// Bounds of what is told about processes: how many, and bytes of each text.
const (
	maxProcesses   = 2048
	maxProcessText = 4096
)

// containerProcs tells what the kernel says of each process, as it says it. Command lines are the processes' own words.
func (w *Warden) containerProcs(q wire.ContainerRef) (any, error) {
	c, err := w.running(q.ID)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	g, _ := w.group(q.ID)
	pids, err := g.Processes()
	list := wire.ContainerProcs{Processes: []map[string]string{}}
	for _, pid := range pids[:min(len(pids), maxProcesses)] {
		texts := map[string]string{}
		for _, name := range []string{"stat", "status", "cmdline", "cgroup"} {
			if f, err := os.Open("/proc/" + pid + "/" + name); err == nil {
				b, _ := io.ReadAll(io.LimitReader(f, maxProcessText))
				texts[name] = strings.ToValidUTF8(string(b), "?")
				f.Close()
			}
		}
		if strings.Contains(texts["cgroup"], "/"+q.ID) { // read last: the number means no other process by now
			list.Processes = append(list.Processes, texts)
		}
	}
	return list, err
}
