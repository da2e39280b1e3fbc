package policy

import (
	"slices"
	"strings"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// mergeEnv gives the request's variables and then those of the image that it does not name, as Docker orders them. In an image an entry without "=" is dropped (it must never
// fetch a value from anywhere, CVE-2026-57231); in a request it takes the variable away.
func (c *collector) mergeEnv(image, request []string) []string {
	var below []string
	for _, e := range image {
		name, _, ok := strings.Cut(e, "=")
		if ok && name != "" && !strings.Contains(e, "\x00") && !named(request, name) {
			below = setEnv(below, name, e)
		}
	}
	return append(c.overlayEnv(nil, request), below...)
}

// overlayEnv lays a request's variables over env, which is not changed.
func (c *collector) overlayEnv(env, request []string) []string {
	env = slices.Clone(env)
	for _, e := range request {
		name, _, ok := strings.Cut(e, "=")
		switch {
		case name == "":
			c.invalid("-e", e, "a variable needs a name before the =")
		case strings.Contains(e, "\x00"):
			c.invalid("-e", name, "a value cannot contain a NUL byte")
		case ok:
			env = setEnv(env, name, e)
		default:
			env = slices.DeleteFunc(env, func(x string) bool { return strings.HasPrefix(x, name+"=") })
		}
	}
	return env
}

// named tells whether a list sets a variable, or takes it away.
func named(env []string, name string) bool {
	return slices.ContainsFunc(env, func(e string) bool { return e == name || strings.HasPrefix(e, name+"=") })
}

func setEnv(env []string, name, entry string) []string {
	for i, x := range env {
		if strings.HasPrefix(x, name+"=") {
			env[i] = entry
			return env
		}
	}
	return append(env, entry)
}

func hasEnv(env []string, name string) bool {
	return slices.ContainsFunc(env, func(x string) bool { return strings.HasPrefix(x, name+"=") })
}

// processEnv completes the environment of process 1 in Docker's order: PATH, HOSTNAME, TERM, the merged ones, HOME.
func processEnv(merged []string, hostname, home string, tty bool) []string {
	env := make([]string, 0, len(merged)+4)
	env = append(env, "PATH="+defaultPath, "HOSTNAME="+hostname)
	if tty {
		env = append(env, "TERM=xterm")
	}
	for _, e := range merged {
		name, _, _ := strings.Cut(e, "=")
		env = setEnv(env, name, e)
	}
	if !hasEnv(merged, "HOME") {
		env = append(env, "HOME="+home)
	}
	return env
}
