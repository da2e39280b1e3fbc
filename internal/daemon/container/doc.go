// Package container is the life cycle of containers and of the processes that are executed in them.
//
// Zone: brigd.
// Input: effective specs of internal/daemon/policy; replies and descriptors of the warden; what containers print (bytes
// of a stranger: copied, framed and escaped, never interpreted); what attached clients type.
// Output: operations of internal/wire; records; logs; events; streams to attached clients.
// Spec: the container and exec parts of the Docker Engine API.
// Answers: A2 (bounded buffers for every stream and client; an idle container costs no buffer), traps 3 and 21 (a
// restart of brigd is not noticed by containers, and leaves no gap in their logs).
//
// The states, and what leads from one to the next:
//
//	         Create                    Start                 the delay is over
//	(none) ─────────▶ created ───────────────────▶ running ◀──────────────── restarting
//	                     │  ▲                         │  ▲                     ▲    │
//	                     │  └── the start failed ─────┤  │ Start               │    │
//	                     │                            │  │                     │    │
//	                     │ Remove     process 1 ended │  │      its policy     │    │ Stop, or
//	                     │                            ▼  │      says so        │    │ the start failed
//	                     ├─────────────────────── exited ──────────────────────┘    │
//	                     │   Remove, or by itself   ▲                               │
//	                     ▼   with --rm              └───────────────────────────────┘
//	                  removing ──▶ (forgotten; then deleted)
//
// Packages restart and health draw their parts of it in detail.
//
// Locks of a container, in this order: life (held through a whole start, end or removal), then mu (held for moments).
// Nobody waits for the end of a container with life held: the end takes it.
package container
