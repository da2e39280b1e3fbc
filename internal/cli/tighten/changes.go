package tighten

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// volatile is where nobody expects to find again what a program wrote. Images have /run/lock inside of /run.
var volatile = []string{"/tmp", "/var/tmp", "/run", "/run/lock", "/var/run"}

// isVolatile tells whether a path is there: as it is, or in a directory that was made there. What a directory of the image holds is
// something else, wherever it is.
func isVolatile(changes map[string]int, p string) bool {
	return slices.ContainsFunc(volatile, func(dir string) bool {
		rest, inside := strings.CutPrefix(p, dir+"/")
		first, _, deeper := strings.Cut(rest, "/")
		return p == dir || inside && (!deeper || changes[dir+"/"+first] == Added)
	})
}

// Unforeseen are the paths of a second look that the advice knew nothing of, and that no volume takes with it. A directory in memory
// takes nothing: it was foreseen that it is empty.
func (a *Advice) Unforeseen(after map[string]int) (list []string) {
	var volumes []string
	for i := 0; i+1 < len(a.Options); i += 2 {
		if a.Options[i] == "-v" {
			volumes = append(volumes, a.Options[i+1])
		}
	}
	above := above(after)
	for _, p := range slices.Sorted(maps.Keys(after)) {
		_, known := a.Changes[p]
		kept := slices.ContainsFunc(volumes, func(dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") })
		if !known && !above[p] && !kept && !isVolatile(after, p) {
			list = append(list, p)
		}
	}
	return list
}

// above are the directories that hold something that was changed: what happened is told by that.
func above(changes map[string]int) map[string]bool {
	above := map[string]bool{}
	for p := range changes {
		for dir := path.Dir(p); dir != p && !above[dir]; p, dir = dir, path.Dir(dir) {
			above[dir] = true
		}
	}
	return above
}

// LeaveOut takes out of the changes what was made for mounts: the places that they are at, and the directories above, if nothing
// else in them has changed.
func LeaveOut(changes map[string]int, mounts []string) {
	for _, p := range mounts {
		delete(changes, path.Clean(p))
	}
	for _, p := range mounts {
		for dir := path.Dir(path.Clean(p)); len(dir) > 1 && !holds(changes, dir); dir = path.Dir(dir) {
			delete(changes, dir)
		}
	}
}

func holds(changes map[string]int, dir string) bool {
	for p := range changes {
		if strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}
