package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// probeDiskHog writes args[0] bytes into each of the directories args[1:]; exposed when they fit into one of them.
func probeDiskHog(args []string) verdict {
	size, v := number(args, 0), verdict{verdict: notApplicable, detail: "no directory can be written to"}
	for _, dir := range args[1:] {
		if v = fill(dir, size); v.verdict == exposed {
			break
		}
	}
	return v
}

func fill(dir string, size int64) verdict {
	os.MkdirAll(dir, 0o755) // or the next step fails
	name := dir + "/brig-probe-hog"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return verdict{verdict: blocked, layer: "mount", detail: dir + " → " + errName(err)}
	}
	defer os.Remove(name)
	defer f.Close()
	buf := make([]byte, 1<<20)
	for done := int64(0); done < size; done += int64(len(buf)) {
		if _, err := f.Write(buf); err != nil {
			return fillVerdict(dir, strconv.FormatInt(done>>20, 10)+" MiB", err)
		}
	}
	return verdict{verdict: exposed, detail: "wrote " + strconv.FormatInt(size>>20, 10) + " MiB to " + dir + " and met no limit"}
}

func fillVerdict(dir, made string, err error) verdict {
	layer := "disk quota"
	if err := unwrapped(err); err != unix.EDQUOT && err != unix.ENOSPC {
		return verdict{verdict: couldNotTry, detail: dir + " → " + errName(err)}
	}
	return verdict{verdict: blocked, layer: layer, detail: made + " in " + dir + ", then " + errName(err)}
}

func unwrapped(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
}

// probeInodeHog makes args[0] empty files; exposed when it can.
func probeInodeHog(args []string) verdict {
	want := int(number(args, 0))
	const dir = "/brig-probe-inodes"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return verdict{verdict: blocked, layer: "mount", detail: dir + " → " + errName(err)}
	}
	defer os.RemoveAll(dir)
	for n := range want {
		fd, err := unix.Open(dir+"/"+strconv.Itoa(n), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return fillVerdict(dir, strconv.Itoa(n)+" files", err)
		}
		unix.Close(fd)
	}
	return verdict{verdict: exposed, detail: "made " + strconv.Itoa(want) + " files and met no limit"}
}
