// Package api carries requests to an engine: just enough HTTP/1.1 over a unix socket, written out by hand.
//
// The command line is started once per container, so its start-up time is part of every `brig run`. net/http and what
// it pulls in (TLS, certificates, HTTP/2) cost 0.35 ms of initialisation before main; this package costs nothing.
//
//	Zone:    brig, the caller's own process and ids.
//	Input:   replies of the engine (trusted less than the person: they are bounded and never executed).
//	Output:  statuses, bodies and raw streams for package cli.
//	Spec:    RFC 9112 (message framing), the Docker Engine API 1.50 (paths, bodies, the upgrade to a raw stream).
//	Answers: none; an engine that lies can print text, and no more.
package api
