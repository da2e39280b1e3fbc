package wire

import "net/netip"

// What the warden asks of brig-router, over a socket pair that nobody else has.
//
//	warden                                         brig-router
//	  router.open [+ namespace]       ──────────►    makes or adopts the namespace, opens what it will ever need there,
//	  RouterReply                     ◄──────────    gives up what that took, and answers; a new namespace comes along
//	  endpoint.adopt                  ──────────►    once for each endpoint that lives on
//	  router.sync                     ──────────►    writes the tables anew
//	  ─ in any order, many at once ─
//	  endpoint.new + socket, netns    ──────────►    a pair, and what belongs to it on both sides: mute
//	  Endpoint                        ◄──────────
//	  endpoint.activate               ──────────►    may talk; its ports are led to it
//	  endpoint.join                   ──────────►    is a member of these networks, and of no other
//	  endpoint.release                ──────────►    mute for good, its address is free
//	  port.reserve                    ──────────►    binds a port on the host
//	  warnings + a socket or two      ◄──────────
//	  router.close                    ──────────►    undoes every change on the host
//
// The socket of endpoint.new is a NETLINK_ROUTE one that the warden opened in the container's namespace: the router
// never enters one. The router ends with its socket; when it ends by itself, its warden does as well, and the next one's
// router adopts the namespace.
const (
	// RouterOpen [+ fd: namespace to adopt] → RouterReply; if there was none to adopt, fds: the namespace, and the UDP and
	// the TCP socket on port 53 of the gateway, for the forwarder.
	OpRouterOpen       Op = "router.open"
	OpRouterSync       Op = "router.sync"       // – → –
	OpRouterClose      Op = "router.close"      // – → –
	OpEndpointNew      Op = "endpoint.new"      // – + fds: socket in the network namespace, the namespace → Endpoint
	OpEndpointAdopt    Op = "endpoint.adopt"    // EndpointUse → –
	OpEndpointActivate Op = "endpoint.activate" // EndpointUse → –
	OpEndpointJoin     Op = "endpoint.join"     // EndpointUse → –
	OpEndpointRelease  Op = "endpoint.release"  // EndpointUse → –
	// PortReserve Port → []string, sentences for people about what the host does to the network, or null; fds: one socket, or
	// one for each family.
	OpPortReserve Op = "port.reserve"
)

// RouterState is what has to be remembered to find, or to undo, what a router changed on the host. The kernel remembers
// the rest.
type RouterState struct {
	Instance string       `json:"instance"`
	Subnet   netip.Prefix `json:"subnet"`
}

// RouterOpen says which network to make. Instance is "brig", or "brig-" and six hex digits; State is what an earlier
// router of it left, if there was one.
type RouterOpen struct {
	Instance string      `json:"instance"`
	State    RouterState `json:"state"`
}

// RouterReply describes the network that is open.
type RouterReply struct {
	State   RouterState `json:"state"`
	Gateway netip.Addr  `json:"gateway"`
}

// Endpoint is one container's way into the network. It dies with its namespace.
type Endpoint struct {
	Addr      netip.Addr `json:"addr"`
	PrefixLen int        `json:"prefixLen"`
	Gateway   netip.Addr `json:"gateway"`
	MAC       string     `json:"mac"`
	Ifindex   int        `json:"ifindex"` // of the router's side
	Name      string     `json:"name"`    // of the router's side
	Membership
}

// EndpointUse is an endpoint with its published ports, as they are bound.
type EndpointUse struct {
	Endpoint Endpoint `json:"endpoint"`
	Ports    []Port   `json:"ports,omitempty"`
}
