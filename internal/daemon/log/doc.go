// Package log keeps what containers print, in bounded files, reads it back, and hands it to the machine's journal or to a
// syslog receiver.
//
// Zone: brigd.
// Input: bytes that containers chose; the option log-opt of a request; at start, files that an earlier brigd wrote.
// Output, by driver:
//
//	json-file  one JSON object per line, as Docker's driver writes it: {"log":…,"stream":…,"attrs":…,"time":…}
//	local      the format of binary.go: Brig's own, without a promise to anybody. Docker's is protobuf, and nobody's API
//	           either
//	journald   datagrams of the journal's native protocol (package journald), and a cache in the format of local
//	syslog     messages to a socket (package syslog), and the same cache
//	none       nothing
//
// At most max-file files of max-size bytes: log.json or log.bin, and the same name with .1 … for the older ones, which are
// gzip where compress was asked for.
//
// What holds when brigd is killed: a line in a file is never lost and may be there twice (package container says when). What
// waits in memory for a receiver is lost to the receiver, at most max-buffer-size of it, and stays in the cache; with
// mode=blocking nothing waits in memory: output is counted as logged once the socket has taken it.
//
// Spec: GET /containers/{id}/logs of the Docker Engine API; the options of Docker's drivers.
// Answers: A2 (a container that prints without end fills no disk: 5 files of 10 MB unless asked otherwise; a receiver that
// hangs holds a container up for five seconds, unless mode=blocking was asked for, and the engine never).
package log
