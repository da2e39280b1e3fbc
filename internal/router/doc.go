// Package router is the process brig-router: all that speaks netlink and nftables, so that who does holds one capability
// and who holds the keys does neither.
//
//	start-up                                  from the first answer on
//	makes or adopts the router namespace,     CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, and no way to others;
//	opens its sockets there, loads the        a second filter without setns, unshare, programs for bpf(2), execution;
//	programs: with CAP_SYS_ADMIN              one socket, to the warden
//
// Zone: an id of its own in the host's user and network namespace; Landlock closes every file but /proc/sys/net.
// Input: operations of Ops, written by the warden, which it trusts; the kernel's answers about the host's own
// interfaces, routes and tables.
// Output: kernel state of the router namespace, of the containers' side of their pairs, and of the host's side of the
// pair that joins them; bound sockets; values that the warden may keep.
// Spec: the protocol is drawn in wire/router.go; the network in link/doc.go; the layers in firewall/gate.go.
// Answers: A6, A7 (link, firewall). A conquered router can do to the host's network what CAP_NET_ADMIN can, and nothing
// to its files, processes or containers' insides.
//
// It keeps no state that it could not lose. Where it would have to enter its namespace again to heal, it ends, and its
// warden with it; the next warden starts one that adopts the namespace; meanwhile the kernel goes on forwarding.
package router
