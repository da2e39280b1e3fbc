// Package link makes the network: the router namespace, the pair that joins it to the host, the endpoints of containers
// with their addresses, and the sockets that reserve published ports. Which packet may pass is package firewall's.
//
//	container ─ eth0 ══ ep… ┐
//	container ─ eth0 ══ ep… ┼─ router namespace ─ uplink ══ brig0 ─ host
//	container ─ eth0 ══ ep… ┘
//
// There is no bridge: the router's side of every endpoint is one /32 route and one fixed neighbour, ARP is off on all
// pairs, and containers are joined by nothing (traps.md 5, 28).
//
// Zone: brig-router. Everything is done by netlink and by sysctl files of the host's namespace and, while it is opened,
// of the router's; no program is run. A container's namespace is reached by a socket that the warden opened in it.
// Input: descriptors of namespaces and of sockets in them, ports that the warden has held against the floor; the host's
// own interfaces and routes.
// Output: kernel state, and values that the caller may keep: State, Endpoint, Socket.
// Spec: rtnetlink(7), veth(4), Documentation/networking/ip-sysctl.
// Answers: A6 (neighbours, router advertisements: CVE-2020-13401; the host's loopback: CVE-2020-8558), A7 (ARP, MAC,
// BPDU, flooding: there is no segment that would carry them).
package link
