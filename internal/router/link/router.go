package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/router/firewall"
	"github.com/brig-engine/brig/internal/router/rtnl"
	"github.com/brig-engine/brig/internal/wire"
)

// Config says which network to make.
type Config struct {
	// Instance names the engine: "brig", or "brig-" and six hex digits. The host's interface and table are named after it.
	Instance string
	// HostNetns is a descriptor of the host's network namespace; 0 is the process's own.
	HostNetns int
	// Subnets are the candidates, of /8 to /24; nil: a built-in list.
	Subnets []netip.Prefix
	// State is what an earlier router of this instance left, or nil.
	State *State
}

// State is what the caller has to keep for the next OpenRouter.
type State = wire.RouterState

// Port is one published port of an endpoint; see firewall.Port.
type Port = firewall.Port

// Router is the router namespace with the pair that joins it to the host. Its methods may be called from any goroutine.
type Router struct {
	cfg    Config
	plan   firewall.Plan
	ns     int // descriptor of the router namespace, owned
	mtu    int
	host   *netlink.Handle
	router *netlink.Handle
	// batches and hostBatches are sockets of the router's namespace and of the host's.
	batches, hostBatches *rtnl.Socket
	inner                *firewall.Inside
	outer                *firewall.Host
	gate                 *firewall.Gate
	dns                  []int // the forwarder's sockets, UDP and TCP
	pool                 *pool
	names                atomic.Uint64
	indexes              atomic.Int32 // the last interface index that an endpoint was given

	whole  sync.Mutex // held while the router as a whole is healed or taken down
	closed bool

	mu      sync.Mutex
	members map[netip.Addr]firewall.Member // active endpoints
	hosts   []netip.Addr                   // the host's addresses, as last told to the router's table
	// blockers are other programs' chains that drop what is forwarded.
	blockers []string
}

// HostLink gives the name of the host's end of the pair for an instance: brig0, or the instance's own name.
func HostLink(instance string) string {
	if instance == "brig" {
		return "brig0"
	}
	return instance
}

// OpenRouter makes the router, or adopts the one whose namespace is existing (a descriptor, which stays the caller's;
// -1: none). After adoption the caller names the living endpoints (Adopt) and then calls Sync. What is missing of the pair,
// its addresses, routes and settings is made again in either case.
func OpenRouter(cfg Config, existing int) (_ *Router, err error) {
	if n := HostLink(cfg.Instance); len(n) == 0 || len(n) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("interface name %q: need 1 to %d letters", n, unix.IFNAMSIZ-1)
	}
	r := &Router{cfg: cfg, ns: -1, members: map[netip.Addr]firewall.Member{}}
	r.names.Store(uint64(time.Now().UnixMicro()))
	defer func() {
		if err != nil {
			r.drop()
		}
	}()
	if r.host, err = dial(cfg.HostNetns, unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER); err != nil {
		return nil, err
	}
	err = inside(cfg.HostNetns, func() (err error) {
		r.hostBatches, err = rtnl.Open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.choose(existing >= 0); err != nil {
		return nil, err
	}
	if err := r.enter(existing); err != nil {
		return nil, err
	}
	if r.gate, err = firewall.LoadGate(r.plan); err != nil {
		return nil, err
	}
	r.outer = firewall.NewHost(cfg.HostNetns, r.plan)
	if err := r.build(existing >= 0); err != nil {
		return nil, errors.Join(err, r.abandon(existing >= 0))
	}
	return r, nil
}

// flowLimit is what one container may take of the machine's table of connections: a sixteenth, in bounds. TCP
// connections that were closed do not count, although they stay there for two minutes: a full table evicts them first.
// The kernel walks the counted ones in a list now and then, which forbids a much larger limit.
func flowLimit() uint32 {
	const least, most = 1024, 16384
	limit := uint64(0)
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	if err == nil { // without it, the least is a good limit too
		limit, _ = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	}
	return uint32(min(max(limit/16, least), most))
}

// build makes pair, tables and forwarding, in an order in which nothing is ever open before its rules are there.
func (r *Router) build(adopted bool) error {
	steps := []func() error{r.pair, r.guard}
	if !adopted {
		steps = append(steps, r.Sync)
	}
	for _, step := range append(steps, r.raise) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// abandon takes down what a failed OpenRouter made; an adopted router stays as it is.
func (r *Router) abandon(adopted bool) error {
	if adopted {
		return nil
	}
	return r.undo()
}

// NetnsFD returns the descriptor of the router namespace. It stays the router's; duplicate it to keep it.
func (r *Router) NetnsFD() int { return r.ns }

// State returns what the caller has to keep for the next OpenRouter.
func (r *Router) State() State { return State{Instance: r.cfg.Instance, Subnet: r.plan.Subnet} }

// Gateway returns the router's address in the containers' eyes.
func (r *Router) Gateway() netip.Addr { return r.plan.Gateway }

// HostAddress returns the host's address towards the router: the sender that containers see for spliced connections.
func (r *Router) HostAddress() netip.Addr { return r.plan.Host }

// Sync writes both tables and the endpoints' programs anew from what the router knows: after adoption, and when something
// looks wrong.
func (r *Router) Sync() error {
	if err := r.reconcile(true); err != nil {
		return err
	}
	var b rtnl.Batch
	r.gate.Renew(&b)
	err := r.batches.Do(&b)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && !(len(r.members) == 0 && errors.Is(err, unix.EINVAL)) { // without an endpoint there are no blocks
		return fmt.Errorf("guard the endpoints: %w", err)
	}
	return nil
}

// reconcile reads what the host has become and writes both tables if that, or their loss, demands it; or always.
func (r *Router) reconcile(always bool) error {
	hosts, err := r.hostAddresses()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	present, err := r.outer.Present()
	if err != nil {
		return err
	}
	blockers, err := r.outer.Blockers()
	if err != nil {
		return err
	}
	splice := len(blockers) > 0
	if always || !present || splice != (len(r.blockers) > 0) || !slices.Equal(hosts, r.hosts) {
		members := r.list()
		if err := r.inner.Replace(members, hosts); err != nil {
			return err
		}
		if err := r.outer.Replace(members, splice); err != nil {
			return err
		}
	}
	r.hosts, r.blockers = hosts, blockers
	return nil
}

func (r *Router) list() []firewall.Member {
	out := make([]firewall.Member, 0, len(r.members))
	for _, m := range r.members {
		out = append(out, m)
	}
	return out
}

// Close takes the network down and undoes every change on the host. Endpoints that are still there lose their pair.
func (r *Router) Close() error {
	r.whole.Lock()
	defer r.whole.Unlock()
	if r.closed {
		return nil
	}
	err := r.undo()
	r.drop()
	return err
}

func (r *Router) undo() error {
	err := r.restoreForwarding()
	if r.outer != nil {
		err = errors.Join(err, r.outer.Delete())
	}
	if l, lerr := r.host.LinkByName(r.plan.HostLink); lerr == nil && l.Attrs().Alias == r.alias() {
		err = errors.Join(err, r.host.LinkDel(l))
	}
	return err
}

// drop closes all descriptors; what is called afterwards fails.
func (r *Router) drop() {
	if r.closed {
		return
	}
	r.closed = true
	if r.inner != nil {
		r.inner.Close()
	}
	if r.outer != nil {
		r.outer.Close()
	}
	if r.gate != nil {
		r.gate.Close()
	}
	for _, h := range []*netlink.Handle{r.host, r.router} {
		if h != nil {
			h.Close()
		}
	}
	for _, s := range []*rtnl.Socket{r.batches, r.hostBatches} {
		if s != nil {
			s.Close()
		}
	}
	wire.CloseAll(append(r.dns, r.ns))
	r.dns, r.ns = nil, -1
}
