package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// toolCensus prints what a program is left with here, a line for each thing, and then waits: socket families that open, and
// files of /proc and /sys that it could write to, which is asked for and not tried.
func toolCensus([]string) int {
	for family := 0; family < unix.AF_MAX; family++ {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
			if fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0); err == nil {
				unix.Close(fd)
				os.Stdout.WriteString("family " + strconv.Itoa(family) + "\n")
				break
			}
		}
	}
	for _, dir := range []string{"/proc", "/sys"} {
		count := map[string]int{}
		writable(dir, dir, count)
		for below, n := range count {
			os.Stdout.WriteString("writable " + below + " " + strconv.Itoa(n) + "\n")
		}
	}
	os.Stdout.WriteString("done\n")
	return toolSleep([]string{"infinity"})
}

// writable counts the files below a directory by the first two names of their path. Of processes it looks at none: each has
// the same files. Links are not followed.
func writable(top, dir string, count map[string]int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		path := dir + "/" + name
		switch {
		case dir == "/proc" && (strings.Trim(name, "0123456789") == "" || name == "self" || name == "thread-self"):
		case e.IsDir():
			writable(top, path, count)
		case e.Type().IsRegular() && regular(path) && unix.Faccessat2(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW) == nil:
			below := strings.SplitN(path, "/", 4)
			count["/"+below[1]+"/"+below[2]]++
		}
	}
}

// regular tells whether a file is one: what is listed as one may be covered by a device.
func regular(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.Mode().IsRegular()
}
