package network

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Names is what the forwarder is told about the containers that run: who is in which network under which names. What
// nobody was told yet is kept by address, so a forwarder that is slow, or a new one, costs no more than the newest of it.
type Names struct {
	mu    sync.Mutex
	all   map[netip.Addr]jobs.Names
	dirty map[netip.Addr]bool
	fed   bool // there is a forwarder
	wake  chan struct{}
}

// NewNames knows nobody.
func NewNames() *Names {
	return &Names{all: map[netip.Addr]jobs.Names{}, dirty: map[netip.Addr]bool{}, wake: make(chan struct{}, 1)}
}

// Set replaces what is known about one address.
func (n *Names) Set(of jobs.Names) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[of.Addr] = of
	n.touch(of.Addr)
}

// Drop forgets an address.
func (n *Names) Drop(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, there := n.all[a]; there {
		delete(n.all, a)
		n.touch(a)
	}
}

func (n *Names) touch(a netip.Addr) {
	if !n.fed {
		return
	}
	n.dirty[a] = true
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Feed tells one forwarder everything, and then what changes, until ctx or send ends it. There is one at a time.
func (n *Names) Feed(ctx context.Context, send func(jobs.Names) error) {
	n.mu.Lock()
	n.fed, n.dirty = true, map[netip.Addr]bool{}
	for a := range n.all {
		n.dirty[a] = true
	}
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.fed = false
		n.mu.Unlock()
	}()
	for {
		for _, of := range n.changes() {
			if send(of) != nil {
				return
			}
		}
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Names) changes() (out []jobs.Names) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for a := range n.dirty {
		of, there := n.all[a]
		if !there {
			of = jobs.Names{Addr: a, Gone: true}
		}
		out = append(out, of)
	}
	clear(n.dirty)
	return out
}

// DNSNames are the names of a container in a network, without the network's own: its name, its aliases, the beginning of
// its id and its host name, as Docker orders them.
func DNSNames(name, id, hostname string, aliases []string) (out []string) {
	for _, s := range slices.Concat([]string{name}, aliases, []string{id[:12], hostname}) {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// clone is for maps that travel into replies.
func clone(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}
