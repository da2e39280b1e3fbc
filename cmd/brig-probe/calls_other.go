//go:build !amd64

package main

// onlyHere has none: what amd64 alone has is not there.
func onlyHere() []request { return nil }
