// Package check tells a person whether this machine can run Brig, what is missing, what that means and what to do
// about it.
//
// Zone: the command line, with the rights of whoever runs it; it changes nothing. It builds for every system that the
// command line builds for.
// Input: this machine's kernel (package feature). Output: a Report, as text of at most 25 lines or as JSON.
// Answers: none; it makes visible which layers of defence this machine lacks.
package check
