package oci

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/oci/birth"
)

// home sets HOME, if nobody has, to what the container's user database says. The file is a stranger's: it is found below
// the root, is a file and not a device, and is read up to a bound.
func home(p *birth.Process, root int) {
	if slices.ContainsFunc(p.Env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		return
	}
	dir := "/"
	if fd, err := path.Open(root, "etc/passwd", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0, path.InRoot); err == nil {
		f := os.NewFile(uintptr(fd), "passwd")
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			b, _ := io.ReadAll(io.LimitReader(f, 1<<20))
			dir = homeOf(string(b), p.UID)
		}
		f.Close()
	}
	p.Env = append(slices.Clip(p.Env), "HOME="+dir)
}

// homeOf reads passwd(5).
func homeOf(passwd string, uid uint32) string {
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) == 7 && f[2] == strconv.FormatUint(uint64(uid), 10) && strings.HasPrefix(f[5], "/") && !strings.ContainsRune(f[5], 0) {
			return f[5]
		}
	}
	return "/"
}
