// Package console joins the person's terminal to a program in a container: raw mode, sizes, the keys that detach, and
// the copying of the three streams.
//
//	Zone:    brig, the caller's own process and ids.
//	Input:   keystrokes; the output of programs in containers, which reaches the terminal as it is, because a person
//	         who attaches asked for exactly that.
//	Output:  the same bytes on the other side.
//	Spec:    termios(3), tty_ioctl(4); the Docker Engine API's attach stream.
//	Answers: none.
package console
