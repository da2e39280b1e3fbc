package policyfile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// runtimes compiles all [runtimes.NAME], in the order of their names.
func (c *compiler) runtimes(all map[string]program) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p, key := all[name], "runtimes."+name
		real, err := c.find.Program(p.Path)
		switch {
		case name == "" || name == "brig" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "":
			c.fault(key, "", "is no name for a runtime: lower-case letters, digits and -._, and brig is Brig")
		case len(p.Arguments) > 32 || strings.Contains(strings.Join(p.Arguments, ""), "\x00"):
			c.fault(key, "", "has at most 32 arguments, without zero bytes")
		case err != nil:
			c.fault(key, "path", "%v", err)
		}
		if c.policy.Runtimes == nil {
			c.policy.Runtimes = map[string][]string{}
		}
		c.policy.Runtimes[name] = append([]string{real}, p.Arguments...)
	}
}

// Program accepts a program of the host below /usr, where its libraries are, that nobody but root can have written, and gives the
// path that no link leads to: a link could lead elsewhere tomorrow.
func Program(path string) (real string, err error) {
	if filepath.Clean(path) != path || !strings.HasPrefix(path, "/usr/") {
		return "", fmt.Errorf("%q: a runtime sees /usr of the host and nothing else, so that it has to be there", path)
	}
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	if !strings.HasPrefix(real, "/usr/") {
		return "", fmt.Errorf("%s: leads to %s, and a runtime sees /usr of the host and nothing else", path, real)
	}
	if filepath.Base(real) != filepath.Base(path) { // a program may ask what it is called
		return "", fmt.Errorf("%s: leads to %s. Next: name that, if it does not matter what it is called", path, real)
	}
	for p := real; ; p = filepath.Dir(p) {
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return "", &os.PathError{Op: "stat", Path: p, Err: err}
		}
		switch {
		case st.Uid != 0 || st.Mode&0o022 != 0:
			return "", fmt.Errorf("%s: others than root can write it", p)
		case p == real && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0):
			return "", errors.New(path + ": is no program")
		case p == "/usr":
			return real, nil
		}
	}
}
