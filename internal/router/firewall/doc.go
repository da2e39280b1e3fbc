// Package firewall writes the two nftables tables and the tc programs that decide which packet of a container goes
// where. The router's table lives in Brig's own router namespace, where no program of the host sees it; the host's
// table holds what only the host can do (masquerade, published ports) and fails closed when somebody flushes it; the
// tc programs are a second layer that reads no rule at all and drops by default (traps.md 5).
//
// Zone: brig-router. Both tables and all programs are written over netlink and bpf(2); no nft, iptables or tc program
// runs.
// Input: numbers only: interface indexes and addresses that package link chose itself, ports that the warden
// has held against the floor.
// Output: kernel state, named after the instance; nothing is returned from it but whether it is there.
// Spec: nft(8), tc-bpf(8); the layers and who answers for what are drawn in inside.go, host.go and gate.go.
// Answers: A6 (neighbours' traffic, forged DNS, router advertisements: CVE-2020-13401; the engine's API:
// CVE-2025-9074), A7 (spoofed senders; rules lost to another program's flush: CVE-2025-54410).
package firewall
