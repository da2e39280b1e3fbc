// Package posture holds what must stay true of the tree itself: which package may import which, what runs as root and
// how much of it, and what the documents promise.
package posture
