package main

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// probeNewNamespaces makes user namespaces in every way that there is, alone and with others: who has one is root in
// there, and reaches the administrative half of the kernel (CVE-2022-0185, CVE-2024-1086). A child does it and ends.
func probeNewNamespaces([]string) verdict {
	const others = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC
	const child = uintptr(unix.SIGCHLD)
	tries := []struct {
		name  string
		nr    uintptr
		flags uintptr
	}{
		{"unshare(user)", unix.SYS_UNSHARE, unix.CLONE_NEWUSER},
		{"unshare(user, net, mount, ipc)", unix.SYS_UNSHARE, unix.CLONE_NEWUSER | others},
		{"unshare(net, mount, ipc)", unix.SYS_UNSHARE, others},
		{"clone(user)", unix.SYS_CLONE, unix.CLONE_NEWUSER | child},
		{"clone(user, net, mount, ipc)", unix.SYS_CLONE, unix.CLONE_NEWUSER | others | child},
		{"clone3(user)", unix.SYS_CLONE3, unix.CLONE_NEWUSER},
		{"clone3(user, net, mount, ipc)", unix.SYS_CLONE3, unix.CLONE_NEWUSER | others},
	}
	p := readPosture()
	var made, refused []string
	var kinds tally
	for _, t := range tries {
		errno, sig, err := childCall(t.nr, [6]uintptr{t.flags})
		if err != nil {
			return verdict{verdict: couldNotTry, detail: "fork: " + errName(err)}
		}
		if errno == 0 && sig == 0 {
			made = append(made, t.name)
			continue
		}
		refused = append(refused, t.name+" → "+errName(errno))
		kinds.add(p.refuserOfNamespaces(errno, sig))
	}
	if len(made) > 0 {
		return verdict{verdict: exposed, detail: "made: " + few(made, 3)}
	}
	return verdict{verdict: blocked, layer: kinds.most(),
		detail: strconv.Itoa(len(tries)) + " ways refused: " + few(refused, 1) + " (" + kinds.String() + ")"}
}

// refuserOfNamespaces: ENOSPC is the answer of the limit user.max_user_namespaces and of no filter.
func (p posture) refuserOfNamespaces(errno syscall.Errno, sig syscall.Signal) string {
	if p.seccomp && (sig != 0 || errno != unix.ENOSPC) {
		return "seccomp"
	}
	return "kernel setting"
}
