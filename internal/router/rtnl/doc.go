// Package rtnl sends several rtnetlink requests to the kernel in one datagram, over a socket that may belong to another
// namespace than the process is in. It is for what is done for every container; everything else goes by the library's
// handles.
//
// Zone: brig-router. Input: descriptors of NETLINK_ROUTE sockets, numbers and addresses that package link chose; the
// kernel's answers. Output: kernel state.
// Spec: rtnetlink(7), netlink(7): a datagram may hold several messages, which the kernel carries out in order; one that
// failed does not keep the later ones from being tried.
package rtnl
