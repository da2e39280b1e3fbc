// Package serve is the images part of the Docker Engine API.
//
// Zone: brigd.
// Input: requests of whoever may open the socket. Parameters are bounded and decoded strictly; archives in bodies are
// handed on unread.
// Output: calls of package image; replies in the shapes of the API version that was asked for; streams of progress.
// Spec: the Docker Engine API: /images/, /distribution/, /auth.
// Answers: A2 (a client that does not read its progress holds up nobody and no unbounded memory).
package serve
