// Package network is brigd's part of the network: what containers find in /etc/hosts and /etc/resolv.conf, the
// splicing of published ports for clients that no translation reaches (loopback, IPv6), the sockets of the DNS
// forwarder, and what `network ls` and `network inspect` show. Interfaces, addresses and rules are the warden's
// (internal/router/link).
//
// Zone: brigd, unprivileged.
// Input: the host's resolv.conf (the administrator's), requests that policy has passed; on published sockets,
// strangers' connections and datagrams, which are copied and never read.
// Output: texts for files in the container; connections to its published ports, and to nothing else.
// Spec: resolv.conf(5), hosts(5); Docker's Engine API for networks.
// Answers: A2 (a flood on a published port is bounded), A6 (DNS, no route_localnet: CVE-2020-8558).
package network
