// Package api is the Docker Engine API: HTTP in, typed calls out.
//
// Zone: brigd.
// Input: requests of whoever may open the socket (root, until there are tenants); bodies are capped and decoded
// strictly.
// Output: replies in the shapes of the API version that the client asked for; hijacked streams for attach and exec.
// Spec: the Docker Engine API, versions MinVersion to MaxVersion; what is not built is refused by name with 501.
// Answers: A2 (caps on every body and stream), A3 (one decoder and one policy for every spelling of a request).
package api
