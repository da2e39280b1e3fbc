// Package log keeps what containers print, in bounded files, and reads it back.
//
// Zone: brigd.
// Input: bytes that containers chose; the option log-opt of a request; at start, files that an earlier brigd wrote.
// Output: one JSON object per line, as Docker's json-file driver writes it: {"log":…,"stream":…,"time":…}. At most
// max-file files of max-size bytes: log.json, and log.json.1 … for the older ones.
// Spec: GET /containers/{id}/logs of the Docker Engine API.
// Answers: A2 (a container that prints without end fills no disk: 3 files of 10 MB unless asked otherwise).
package log
