// Package dns is the forwarder of the network called bridge: containers ask the gateway's port 53, and the forwarder
// asks the host's resolvers, which are loopback stubs that a container could not reach (systemd-resolved's
// 127.0.0.53). It caches nothing and rewrites nothing but the message's number. For members of networks of people's own it
// knows the names of the containers there (names.go), as brigd tells them.
//
//	container ── query ──▶ number, question checked ── fresh random number ──▶ resolver
//	          ◀─ answer ── a name of the asker's networks
//	container ◀─ answer ── own number put back ◀── socket, number, question must be those of the query ── resolver
//
// Zone: brig-worker. All sockets are inherited: the listening ones were opened by the warden inside the router
// namespace, the ones towards the resolvers by brigd. TCP connections to a resolver are asked for over the job, one per
// client connection and a limited number in a minute.
// Input: queries of containers and answers of resolvers, both strangers' bytes; beyond the twelve bytes of the header
// and the question nothing is read.
// Output: the same messages.
// Spec: RFC 1035 4.1, 4.2.2; RFC 5452 (forged answers); RFC 7766 (TCP).
// Answers: A2 (flood: bounds per container and in all), A6 (forged answers; names of other people's networks; names that
// carry something out of an internal network: CVE-2024-29018).
package dns
