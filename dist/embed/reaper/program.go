package reaper

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The frame that the program makes below its arguments.
const (
	mask      = 0 // a signal set
	word      = 8 // a wait status, or a process group
	frameSize = 16
)

// The stack that the kernel hands over: argc, the arguments, a null pointer, the environment.
const (
	argPath   = 16 // behind argc and argv[0]
	argOthers = 24
)

const sigsetSize = 8

// Exit statuses that are not the program's.
const (
	exitInit          = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

// write is the program. Saved registers: s0 holds argc, s1 the arguments, s2 the program's pid.
func (c *code) write() {
	c.add(c.load(s0, sp, 0))
	c.jumpIf(s0, less, 3, "usage")
	c.add(c.lea(s1, sp, 0))
	c.add(c.lea(sp, sp, -frameSize))
	c.fill(mask, -1)
	c.fill(word, 0)
	c.call("prctl", imm(unix.PR_SET_NAME), text("name"))
	c.call("rt_sigprocmask", imm(unix.SIG_SETMASK), local(mask), imm(0), imm(sigsetSize))
	c.call("clone", imm(int(unix.SIGCHLD)), imm(0), imm(0), imm(0), imm(0))
	c.jumpIf(ret, equal, 0, "child")
	c.jumpIf(ret, less, 0, "cannot fork")
	c.add(c.lea(s2, ret, 0))

	c.label("wait")
	c.call("rt_sigtimedwait", local(mask), imm(0), imm(0), imm(sigsetSize))
	c.jumpIf(ret, equal, -int(unix.EINTR), "wait") // the container was frozen, or somebody traces
	c.jumpIf(ret, less, 0, "cannot wait")
	c.jumpIf(ret, equal, int(unix.SIGCHLD), "reap")
	c.call("kill", saved(s2), saved(ret))
	c.jump("wait")

	c.label("reap")
	c.call("wait4", imm(-1), local(word), imm(unix.WNOHANG), imm(0))
	c.jumpIf(ret, lessOrEqual, 0, "wait")
	c.add(c.sub(ret, s2))
	c.jumpIf(ret, notEqual, 0, "reap")
	c.add(c.load(s0, sp, word))
	c.add(c.lea(s2, s0, 0))
	c.add(c.bits(s0, 0, 7)) // the signal
	c.add(c.bits(s2, 8, 8)) // the exit status, if there is none
	c.jumpIf(s0, equal, 0, "exit")
	c.add(c.lea(s2, s0, 128))
	c.label("exit")
	c.call("exit_group", saved(s2))

	c.child()
	c.fail("usage", "usage: init PATH ARGUMENT...\n")
	c.fail("cannot fork", "init: no process for the program can be made\n")
	c.fail("cannot wait", "init: waiting for signals is not allowed\n")
	c.data("name", "init\x00")
}

// child is what the forked process does. Signals are blocked until it has the terminal: SIGTTOU would stop it.
func (c *code) child() {
	c.label("child")
	c.call("setpgid", imm(0), imm(0))
	c.call("getpid")
	c.add(c.store(ret, sp, word))
	c.call("ioctl", imm(0), imm(unix.TIOCSPGRP), local(word)) // without a terminal it fails, and nothing is lost
	c.fill(mask, 0)
	c.call("rt_sigprocmask", imm(unix.SIG_SETMASK), local(mask), imm(0), imm(sigsetSize))
	c.add(c.lea(s2, s1, argPath)) // + 8 argc is the environment: argc counts argv[0], and a null pointer ends the list
	for range 8 {
		c.add(c.plus(s2, s0))
	}
	c.add(c.load(a0, s1, argPath))
	c.add(c.lea(a1, s1, argOthers))
	c.add(c.lea(a2, s2, 0))
	c.call("execve")

	const missing, other = "init: this program, or its interpreter, does not exist: ", "init: cannot be executed: "
	c.add(c.set(s2, exitNotFound))
	c.add(c.set(s3, len(missing)))
	c.add(c.addr(s0, c.to("missing")))
	c.jumpIf(ret, equal, -int(unix.ENOENT), "say")
	c.jumpIf(ret, equal, -int(unix.ENOTDIR), "say")
	c.add(c.set(s2, exitNotExecutable))
	c.add(c.set(s3, len(other)))
	c.add(c.addr(s0, c.to("other")))
	c.label("say")
	c.call("write", imm(2), saved(s0), saved(s3))
	c.add(c.load(s0, s1, argPath)) // the kernel puts the strings one behind the other
	c.add(c.load(s3, s1, argOthers))
	c.add(c.sub(s3, s0))
	c.add(c.lea(s3, s3, -1))
	c.call("write", imm(2), saved(s0), saved(s3))
	c.call("write", imm(2), text("newline"), imm(1))
	c.call("exit_group", saved(s2))
	c.data("missing", missing)
	c.data("other", other)
	c.data("newline", "\n")
}

// fail is a place that says why init does nothing and ends it.
func (c *code) fail(where, why string) {
	c.label(where)
	c.call("write", imm(2), text(where+" text"), imm(len(why)))
	c.call("exit_group", imm(exitInit))
	c.data(where+" text", why)
}

// Program is the ELF file for an architecture as Go names it.
func Program(arch string) ([]byte, error) {
	c := &code{arch: arch, at: map[string]int{}}
	var machine uint16
	switch arch {
	case "amd64":
		c.isa, machine = x86{}, 62
	case "arm64":
		c.isa, machine = a64{}, 183
	default:
		return nil, fmt.Errorf("an init program for %s: %w", arch, unix.ENOTSUP)
	}
	for range 2 { // the first pass finds the places that the second refers to
		c.out = c.out[:0]
		c.write()
	}
	return executable(machine, c.out), c.err
}

// Listing writes the program for the warden and for people: its bytes, and what of them is text.
func Listing(program []byte) string {
	var out strings.Builder
	for line := range slices.Chunk(program, 16) {
		text := slices.Clone(line)
		for i, c := range text {
			if c < ' ' || c > '~' {
				text[i] = '.'
			}
		}
		fmt.Fprintf(&out, "%-47s  %s\n", fmt.Sprintf("% x", line), text)
	}
	return out.String()
}
