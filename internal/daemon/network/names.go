package network

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// Names is what the forwarder is told about the containers that run: who is in which network under which names. What
// nobody was told yet is kept by address, so a forwarder that is slow, or a new one, costs no more than the newest of it.
type Names struct {
	mu    sync.Mutex
	all   map[netip.Addr]owned
	dirty map[netip.Addr]bool
	fed   bool // there is a forwarder
	wake  chan struct{}
}

// owned is what is known about the container that has an address now.
type owned struct {
	container string
	of        jobs.Names
}

// NewNames knows nobody.
func NewNames() *Names {
	return &Names{all: map[netip.Addr]owned{}, dirty: map[netip.Addr]bool{}, wake: make(chan struct{}, 1)}
}

// Set replaces what is known about one address, which is this container's.
func (n *Names) Set(container string, of jobs.Names) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[of.Addr] = owned{container, of}
	n.touch(of.Addr)
}

// Drop forgets an address, unless it is another container's by now.
func (n *Names) Drop(container string, a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all[a].container == container {
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
		if is, there := n.all[a]; there {
			out = append(out, is.of)
		} else {
			out = append(out, jobs.Names{Addr: a, Gone: true})
		}
	}
	clear(n.dirty)
	return out
}

// DNSNames are the names of a container in a network, without the network's own: its name, its aliases, the beginning of
// its id and its host name, as Docker orders them. What could be the beginning of an id is so of its own alone: links lead
// to it.
func DNSNames(name, id, hostname string, aliases []string) []string {
	all := slices.Concat([]string{name}, aliases, []string{id[:12], hostname})
	return Once(slices.DeleteFunc(all, func(s string) bool { return ShortID(s) && s != id[:12] }))
}

// ShortID tells whether a name looks like the beginning of a container's id, by which it is known in its networks.
func ShortID(name string) bool {
	return len(name) == 12 && strings.Trim(name, "0123456789abcdefABCDEF") == ""
}

// Once gives each of these names once, in their order.
func Once(names []string) (out []string) {
	for _, s := range names {
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
