// Package tighten works out, from what a running container did, the options that it needs to run at level strict.
//
// Zone: brig, the caller's own process.
// Input: answers of the engine about a container: processes, changes, directories. A container chose the names in them.
// Output: options, and what stands against them. Nothing is changed, and nothing is promised: a trial tells.
package tighten

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/brig-engine/brig/internal/cli/show"
)

// Facts are what is known of a container.
type Facts struct {
	Processes []Process
	Changes   map[string]int // path → Changed, Added, Deleted
	// Look reads a directory: its owner and mode, and the names in it.
	Look func(dir string) (Dir, error)
	// Networks are those that it is in. Used tells whether a byte went through, or a port is published.
	Networks []string
	Used     bool
	// CapAdd, Devices and SecurityOpt of its request, of which level strict has none.
	CapAdd, Devices, SecurityOpt []string
	ReadOnly                     bool
	// Recorded: its system calls are, and Calls are those that it has made. Profile is the file that one of them is written to.
	Recorded bool
	Calls    []string
	Profile  string
}

// Process is one of the container's, with ids as they are inside.
type Process struct {
	UID, GID uint32
	Name     string
}

// Dir is a directory of the container.
type Dir struct {
	UID, GID uint32
	Mode     uint32
	Names    []string // of what is in it; the first of them, if there are very many
	Files    bool     // something in it, or below, is no directory
}

// Kinds of changes.
const (
	Changed = iota
	Added
	Deleted
)

// Advice is what level strict takes.
type Advice struct {
	Options   []string // in the order of a command line
	Notes     []string // what to know about them
	Obstacles []string // what no option gives
	Calls     []string `json:",omitempty"` // that were recorded
	// Capabilities that may have been used. They are derived, not seen.
	Capabilities []Need `json:",omitempty"`

	Lost    []string       `json:"-"` // directories that would be in memory, and hold files which nobody would have any more
	Empty   []string       `json:"-"` // directories that would be in memory, and hold nothing but directories
	Changes map[string]int `json:"-"` // that it is made of
	Mounts  []string       `json:"-"` // places of mounts, which are none of the changes
}

// Make works it out.
func Make(f *Facts) Advice {
	a := &Advice{Options: []string{"--level", "strict"}, Notes: []string{}, Obstacles: []string{}}
	uid, gid, known := a.user(f.Processes)
	a.network(f)
	if !f.ReadOnly {
		a.files(f, uid, gid, known)
	}
	a.calls(f)
	for _, o := range []struct {
		option string
		values []string
	}{{"--cap-add", f.CapAdd}, {"--device", f.Devices}, {"--security-opt", f.SecurityOpt}} {
		for _, v := range o.values {
			if narrow(o.option, v) {
				continue
			}
			a.Obstacles = append(a.Obstacles, fmt.Sprintf("%s %s: level strict has none; try without", o.option, v))
		}
	}
	return *a
}

// narrow tells whether an option is one that level strict has, too: a profile, which only takes away there.
func narrow(option, value string) bool {
	name, value, _ := strings.Cut(value, "=")
	return option == "--security-opt" && (name == "seccomp" && value != "unconfined" || name == "no-new-privileges" && value != "false")
}

// calls makes something of what was recorded.
func (a *Advice) calls(f *Facts) {
	if !f.Recorded {
		return
	}
	a.Calls = f.Calls
	a.Capabilities = Derive(f.Calls, slices.ContainsFunc(f.Processes, func(p Process) bool { return p.UID == 0 }))
	if f.Profile != "" {
		a.Options = append(a.Options, "--security-opt", "seccomp="+f.Profile)
		a.Notes = append(a.Notes, fmt.Sprintf("%s allows the %d system calls that were recorded, and what it takes to begin and to end", f.Profile, len(f.Calls)))
	} else {
		a.Notes = append(a.Notes, fmt.Sprintf("%d system calls were recorded: --profile FILE makes a profile of them", len(f.Calls)))
	}
	if len(a.Capabilities) > 0 {
		var names []string
		for _, n := range a.Capabilities {
			names = append(names, fmt.Sprintf("%s (%s)", n.Capability, strings.Join(n.Calls, ", ")))
		}
		a.Notes = append(a.Notes, "root may have used these capabilities, as is derived from its system calls and not seen: "+strings.Join(names, ", ")+
			". Level strict has none")
	}
}

// user chooses the one that is not root, if there is one.
func (a *Advice) user(list []Process) (uid, gid uint32, known bool) {
	var root, others []string
	ids := map[[2]uint32]bool{}
	for _, p := range list {
		if p.UID == 0 {
			root = append(root, p.Name)
			continue
		}
		ids[[2]uint32{p.UID, p.GID}] = true
		uid, gid = p.UID, p.GID
		others = append(others, fmt.Sprintf("%s as %d:%d", p.Name, p.UID, p.GID))
	}
	switch len(ids) {
	case 1:
		a.Options = append(a.Options, "-u", fmt.Sprintf("%d:%d", uid, gid))
		if len(root) > 0 {
			a.Notes = append(a.Notes, fmt.Sprintf("%s ran as root beside it, and would run as %d:%d: whether it can, a trial tells", once(root), uid, gid))
		}
		return uid, gid, true
	case 0:
		a.Obstacles = append(a.Obstacles, fmt.Sprintf("-u: %s ran as root, and nothing as anybody else: name a user who may do what it does", once(root)))
	default:
		a.Obstacles = append(a.Obstacles, "-u: more than one user ran something: "+once(others))
	}
	return 0, 0, false
}

func once(list []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(list))), ", ")
}

func (a *Advice) network(f *Facts) {
	named := slices.DeleteFunc(slices.Clone(f.Networks), func(n string) bool { return n == "none" })
	if len(named) == 0 {
		return
	}
	if !f.Used {
		a.Notes = append(a.Notes, "no byte went through its network: it has none in strict")
		return
	}
	for _, n := range named {
		a.Options = append(a.Options, "--network", n)
	}
}

// place is a directory that has to be one that can be written to.
type place struct {
	dir     string
	written []string
	made    bool // it is none of the image's
	foreign bool // the image has something in it, too
}

// files finds the directories that were written to, and gives each a file system of its own: a volume where the user owns
// it, since a new one begins with the image's files and their owner; else one in memory, where nothing of the image's is hidden.
func (a *Advice) files(f *Facts, uid, gid uint32, known bool) {
	for _, p := range places(f) {
		d, err := f.Look(p.dir)
		if err != nil {
			a.Obstacles = append(a.Obstacles, fmt.Sprintf("%s was written to, and cannot be looked at: %v", p.dir, err))
			continue
		}
		for _, name := range d.Names {
			if kind, there := f.Changes[path.Join(p.dir, name)]; !there || kind != Added {
				p.foreign = true
			}
		}
		gone := slices.Contains(volatile, p.dir) || p.made && isVolatile(f.Changes, p.dir)
		switch {
		case strings.ContainsAny(p.dir, ":,\ufffd") || show.Clean(p.dir, false) != p.dir:
			// The image, or the program, has chosen the name: as an option it would mean another directory, of the host, or be
			// another one than people see. The replacement character stands for a byte that is none of a text.
			a.Obstacles = append(a.Obstacles, fmt.Sprintf("%q was written to, and no option can name it", p.dir))
		case p.dir == "/":
			a.Obstacles = append(a.Obstacles, "it wrote to the root directory itself: "+some(p.written))
		case gone, p.made, !p.foreign && !(known && d.UID == uid):
			a.Options = append(a.Options, "--tmpfs", p.dir)
			if !gone {
				if d.Files {
					a.Lost = append(a.Lost, p.dir)
				} else {
					a.Empty = append(a.Empty, p.dir)
				}
				a.Notes = append(a.Notes, fmt.Sprintf("%s is in memory and goes with the container; it wrote %s", p.dir, some(p.written)))
			}
		case known && d.UID == uid || d.Mode&0o002 != 0, known && d.GID == gid && d.Mode&0o020 != 0:
			a.Options = append(a.Options, "-v", p.dir)
			a.Notes = append(a.Notes, fmt.Sprintf("%s is a volume without a name; -v NAME:%s keeps it for the next container", p.dir, p.dir))
		default:
			a.Obstacles = append(a.Obstacles, fmt.Sprintf("%s is another user's (%d:%d) and holds files of the image; it wrote %s: have the image hold these",
				p.dir, d.UID, d.GID, some(p.written)))
		}
	}
}

// places are the directories that hold what was changed: of the image, or the first that was made. None is below another, but for
// the image's own that are in a volatile one.
func places(f *Facts) []place {
	paths := slices.Sorted(maps.Keys(f.Changes))
	above := above(f.Changes)
	found := map[string]*place{}
	for _, p := range paths {
		if above[p] {
			continue // a directory, which is told by what is in it
		}
		dir := path.Dir(p)
		// A directory that was made, maybe by root for the user, is made by the mount. Changed is 0, as what is not there.
		made := dir != "/" && f.Changes[dir] == Added
		for made && path.Dir(dir) != "/" && f.Changes[path.Dir(dir)] == Added {
			dir = path.Dir(dir)
		}
		if found[dir] == nil {
			found[dir] = &place{dir: dir, made: made}
		}
		found[dir].written = append(found[dir].written, p)
		found[dir].foreign = found[dir].foreign || f.Changes[p] != Added
	}
	var list []place
	for _, d := range slices.Sorted(maps.Keys(found)) {
		inside := slices.ContainsFunc(list, func(p place) bool {
			return p.dir != "/" && strings.HasPrefix(d, p.dir+"/") && (!slices.Contains(volatile, p.dir) || found[d].made && isVolatile(f.Changes, d))
		})
		if !inside {
			list = append(list, *found[d])
		}
	}
	return list
}

func some(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
