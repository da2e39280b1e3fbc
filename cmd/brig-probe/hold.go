package main

import (
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A hog that holds takes something that the kernel counts until it is refused, prints its verdict, and keeps what it has
// while the drill looks what is left for others. Nothing of it has a name: it goes with the process.

// holdFor is longer than the drill looks; it ends the container as soon as it has seen enough.
const holdFor = 20 * time.Second

// taker takes one of a thing. The descriptor that keeps it is -1 if the process itself does.
type taker func() (fd int, err error)

func takerOf(name string) taker {
	switch name {
	case "inotify":
		return func() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC) }
	case "queue":
		return takeQueue
	case "segment":
		return takeSegment
	case "semaphores":
		return func() (int, error) { return takeIPC(unix.SYS_SEMGET, 1) }
	case "messages":
		return func() (int, error) { return takeIPC(unix.SYS_MSGGET, unix.IPC_CREAT|0o600) }
	case "terminal":
		return func() (int, error) { return unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0) }
	}
	fail("take: nothing is called " + name)
	return nil
}

// toolTake takes one of each of the things, prints "ok" or the first refusal, and gives them back: the neighbour's part.
func toolTake(names []string) int {
	answer := "ok"
	for _, name := range names {
		if _, err := takerOf(name)(); err != nil && answer == "ok" {
			answer = name + " → " + errName(err)
		}
	}
	os.Stdout.WriteString(answer + "\n")
	return 0
}

// takeAll takes until it is refused. A process has a limit of its own for descriptors, which is not the one that is
// looked for: a child keeps what there is so far (it dies with this process), and the taking goes on.
func takeAll(take taker, most int) (n int, refusal error) {
	var fds []int
	for n < most {
		fd, err := take()
		if err == nil {
			n++
			if fd >= 0 {
				fds = append(fds, fd)
			}
			continue
		}
		if err != unix.EMFILE || len(fds) == 0 {
			return n, err
		}
		if _, errno := forkPause(); errno != 0 {
			return n, err
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
		fds = fds[:0]
	}
	return n, nil
}

// takeQueue makes a message queue of the default size, which costs its user some 80 KB of RLIMIT_MSGQUEUE.
func takeQueue() (int, error) {
	name, err := unix.BytePtrFromString("brig-probe-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		return -1, err
	}
	fd, _, e := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)),
		unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600, 0, 0, 0)
	if e != 0 {
		return -1, e
	}
	unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0)
	return int(fd), nil
}

// takeSegment makes a System V segment of a page, which is gone with the last process that has it attached.
func takeSegment() (int, error) {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		return -1, err
	}
	_, err = unix.SysvShmAttach(id, 0, 0)
	unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return -1, err
}

// takeIPC makes a set of semaphores or a message queue, which is gone with the IPC namespace or when takeIPC is asked
// for it again: the neighbour's is removed at once, the hog's goes with its container.
func takeIPC(call uintptr, argument uintptr) (int, error) {
	_, _, e := unix.Syscall(call, unix.IPC_PRIVATE, argument, unix.IPC_CREAT|0o600)
	if e != 0 {
		return -1, e
	}
	return -1, nil
}

// held is what a hog says of what it holds. If all of it was refused there is nothing to look at outside.
func held(n int, what string, refusal error) verdict {
	answer := "no limit met"
	if refusal != nil {
		answer = "then " + errName(refusal)
	}
	detail := strconv.Itoa(n) + " " + what + ", " + answer
	switch p := readPosture(); {
	case n == 0 && (refusal == unix.ENOENT || refusal == unix.ENOSYS && !p.seccomp):
		return verdict{verdict: notApplicable, detail: detail}
	case n == 0 && denied(errnoOf(refusal)):
		return verdict{verdict: blocked, layer: p.refuser(unix.CAP_SYS_ADMIN), detail: detail}
	case n == 0:
		return verdict{verdict: couldNotTry, detail: detail}
	case p.userns:
		return verdict{verdict: lookOutside, layer: "user namespace", detail: detail, hold: holdFor}
	}
	return verdict{verdict: lookOutside, layer: "resource limit", detail: detail, hold: holdFor}
}

// probeInotifyHog takes up to args[0] inotify instances: a user of the host has 128 by default, and whoever makes a user
// namespace pays for what is taken in it.
func probeInotifyHog(args []string) verdict {
	n, err := takeAll(takerOf("inotify"), int(number(args, 0)))
	return held(n, "inotify instances", err)
}

// probeMqueueHog takes up to args[0] POSIX message queues, which are charged to a user, and then as many segments of
// System V shared memory, sets of semaphores and queues of messages, which are counted for an IPC namespace.
func probeMqueueHog(args []string) verdict {
	most := int(number(args, 0))
	queues, err := takeAll(takeQueue, most)
	v := held(queues, "message queues", err)
	segments, err := takeAll(takeSegment, most)
	if segments == 0 {
		return v
	}
	w := held(segments, "segments", err)
	w.detail = v.detail + "; " + w.detail
	for _, what := range []string{"semaphores", "messages"} {
		if n, err := takeAll(takerOf(what), most); n > 0 {
			w.detail += "; " + strconv.Itoa(n) + " of " + what + " (" + errName(err) + ")"
		}
	}
	return w
}

// probePtyHog takes up to args[0] pseudo-terminals, of which the whole machine has kernel.pty.max; exposed when it gets
// more than a quarter of them.
func probePtyHog(args []string) verdict {
	n, err := takeAll(takerOf("terminal"), int(number(args, 0)))
	v := held(n, "terminals", err)
	text, _ := os.ReadFile("/proc/sys/kernel/pty/max")
	all, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if v.verdict != lookOutside {
		return v
	}
	v.layer = "devpts limit"
	if all > 0 && n > all/4 {
		v.verdict, v.layer = exposed, ""
	}
	v.detail += " (the machine has " + strconv.Itoa(all) + ")"
	return v
}
