// Package compat is the table of what becomes of each field of a create request and of each option of docker run.
//
// Zone: brigd; also read by dist/compat, which writes docs/docker-compatibility.md from it.
// Input: none, it is data. Output: the words of every refusal of package policy that is a rule or a gap, so that the
// page and the engine cannot say different things.
// Spec: the Docker Engine API's create request (github.com/moby/moby/api), docker run of version 28.2.
// Answers: nothing that was asked for is ignored. A field that upstream adds is in no entry, and
// policy.TestEveryFieldOfTheAPIHasItsPlace fails until it is.
//
// To make an option work: build it, and turn its entry into one that Works. TestEveryFieldDoesWhatTheTableSays then
// wants to see it accepted.
package compat
