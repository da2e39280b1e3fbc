package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What toolRights exits with: a sum, beside statuses that mean something else.
const (
	rightsNone = 40
	rightsRoot = 1
	rightsCaps = 2
)

// toolRights tells, by its exit status, what executing it gave.
func toolRights([]string) int {
	status := rightsNone
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		status += rightsRoot
	}
	if readPosture().caps != 0 {
		status += rightsCaps
	}
	return status
}

// probeSetuidProgram runs as an ordinary user two programs of its image: one is root's and set-user-id, the other has a
// capability in its file. args: their paths.
func probeSetuidProgram(args []string) verdict {
	if len(args) != 2 {
		fail("usage: setuid-program SETUID CAPABLE")
	}
	if p := readPosture(); os.Geteuid() == 0 || p.caps != 0 {
		return verdict{verdict: couldNotTry, detail: "it was started with privileges: uid " + strconv.Itoa(os.Geteuid())}
	}
	for _, path := range args {
		status, err := spawnProgram(path, "_rights")
		switch got := status.ExitStatus() - rightsNone; {
		case err != nil && !denied(errnoOf(unwrap(err))):
			return verdict{verdict: couldNotTry, detail: path + " → " + errName(err)}
		case err != nil:
		case got&rightsRoot != 0 && got > 0:
			return verdict{verdict: exposed, detail: path + " made user " + strconv.Itoa(os.Getuid()) + " root"}
		case got&rightsCaps != 0 && got > 0:
			return verdict{verdict: exposed, detail: path + " gave a capability"}
		case got != 0:
			return verdict{verdict: couldNotTry, detail: path + " ended with " + strconv.Itoa(status.ExitStatus())}
		}
	}
	return verdict{verdict: blocked, layer: deadBits(args[0]), detail: "user " + strconv.Itoa(os.Getuid()) +
		" executed both and stayed who it was"}
}

// deadBits names what keeps the mode of a file from giving its owner's rights.
func deadBits(path string) string {
	var who []string
	if readPosture().noNewPrivs {
		who = append(who, "no new privileges")
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0 {
		who = append(who, "nosuid mount")
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSetuid == 0 {
		who = append(who, "verification")
	}
	if len(who) == 0 {
		return "kernel"
	}
	return strings.Join(who, " or ")
}

// unwrap gives the error number out of what the os package makes of it.
func unwrap(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}

// probeUserNumber was started as user 1000, which the image's user list has as the name of one with the number 0.
func probeUserNumber([]string) verdict {
	who := "user 1000 is uid " + strconv.Itoa(os.Getuid())
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		return verdict{verdict: exposed, detail: who}
	}
	return verdict{verdict: blocked, layer: "policy", detail: who}
}

// probeWorkdir was started with a descriptor of the engine as its working directory, and looks for the canary from there.
// args: TOKEN-HASH PATH.
func probeWorkdir(args []string) verdict {
	if len(args) != 2 {
		fail("usage: workdir-descriptor TOKEN-HASH PATH")
	}
	dots := strings.Repeat("../", 20) + strings.TrimPrefix(args[1], "/")
	dir, _ := unix.Getcwd(make([]byte, 4096))
	if text, err := os.ReadFile(dots); err == nil && holdsToken(text, args[0]) {
		return verdict{verdict: exposed, detail: "read the host's canary by dots from the working directory"}
	}
	where, _ := os.Readlink("/proc/self/cwd")
	if dir <= 0 {
		return verdict{verdict: couldNotTry, detail: "there is no working directory"}
	}
	return verdict{verdict: blocked, layer: "descriptors closed", detail: "the working directory is " + where}
}

// probeReadCanary reads files that a link of the image may have led to the host. args: TOKEN-HASH PATH...
func probeReadCanary(args []string) verdict {
	if len(args) < 2 {
		fail("usage: linked-directories TOKEN-HASH PATH...")
	}
	for _, path := range args[1:] {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(f, 4096))
		f.Close()
		if holdsToken(text, args[0]) {
			return verdict{verdict: exposed, detail: "read the host's canary as " + path}
		}
	}
	return verdict{verdict: blocked, layer: "mount namespace", detail: few(args[1:], 2) + " is not the host's"}
}
