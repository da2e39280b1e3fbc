// Package ps makes the table of a container's processes, as ps(1) would on the host.
//
// Zone: brigd.
// Input: beginnings of stat, status and cmdline of /proc, by way of the warden. Names and command lines are the
// processes' own words: parentheses, newlines, control characters.
// Output: titles and rows of the Docker Engine API, in which no control character is left.
// Spec: ps(1) of procps as far as Options goes, proc(5); GET /containers/{id}/top.
// Answers: A2, A4 (bounded cells; a process cannot make a row of its own or move a cursor).
package ps
