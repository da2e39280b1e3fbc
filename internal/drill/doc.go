// Package drill tries the seven attacks of the survey against a container engine, and says what stopped each.
//
// One engine after the other is driven through the Docker Engine API, so the same probes run against Brig, Docker and
// whoever else speaks it. The attacker is the program brig-probe, as the only program of an image that the drill loads;
// the drill itself plays everybody else: it plants the canaries, is the neighbour's client, listens where a forged
// packet would arrive, and, "at the engine's door", hands the engine poisoned archives, has it pull from registries
// that lie, and sends frames out of an attacker's interface with powers that the attacker does not have.
//
//	plant canaries ─▶ start neighbour ─▶ per probe: start attacker ─▶ its verdict, or what the canary saw
//	                                                   │
//	sweep ◀────────────── seven lines ◀────────────────┘
//
// Every probe has a control: package control is an "engine" without any defence, in namespaces of its own; a test runs
// this very code against it, and each probe must report exposed there.
//
// Zone: the drill, run by root on purpose (canaries on a loop device and in the engine's network namespace need it).
// Input: replies of the engine under test, and output of its containers: both size-capped and strictly decoded.
// Output: verdicts; no state but the canaries, all removed at the end.
// Spec: attack catalogue of docs/, Docker Engine API 1.41 and later, OCI image layout
// and distribution.
// Answers: none; it asks.
package drill
