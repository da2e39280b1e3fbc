// Package network is brigd's part of the network: the records of networks and who is in which (store.go), what the DNS
// forwarder hears of that and its sockets, what containers find in /etc/hosts and /etc/resolv.conf, the splicing of
// published ports for clients that no translation reaches (loopback, IPv6), and what `network inspect` shows.
// Interfaces, addresses and rules are brig-router's (internal/router/link).
//
// Zone: brigd, unprivileged.
// Input: the host's resolv.conf (the administrator's), requests that policy has passed; on published sockets,
// strangers' connections and datagrams, which are copied and never read.
// Output: texts for files in the container; connections to its published ports, and to nothing else.
// Spec: resolv.conf(5), hosts(5); Docker's Engine API for networks.
// Answers: A2 (a flood on a published port is bounded), A6 (DNS, no route_localnet: CVE-2020-8558).
package network
