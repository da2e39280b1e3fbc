// Package single, by being linked, has the whole program run on one processor at a time: what the threads of a command
// line cost each other is more than what they could do at once.
//
//	Zone:    brig, the caller's own process.
//	Input:   –
//	Output:  –
//	Spec:    the order in which cmd/link initialises packages, since Go 1.21: of those that are ready, the first by path.
//	Answers: none.
//
// In main it would be late. The program may have moved to a second processor by then, which gives back all the memory it
// has at hand when it is taken away: sixty page faults in half of all starts. That is why this package imports nothing
// but runtime, so that it is ready before the standard library is; in another order it would merely be slower.
package single

import "runtime"

// Before is how many processors the runtime would have used.
var Before = runtime.GOMAXPROCS(1)

var deep = grow(0)

// grow has the stack of the goroutine that calls it grown once, while there is little on it to move. With 0 it does not
// touch the room that it asks for.
//
//go:noinline
func grow(n int) byte {
	if n == 0 {
		return 0
	}
	var room [12 << 10]byte
	return room[n] + grow(n-1)
}
