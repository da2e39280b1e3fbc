// Package rules is the administrator's policy in the form that is checked: what `brig policy apply` made of policy.toml.
//
// Zone: the command line writes it as root; brigd and the warden read it, each by itself, at every start.
// Input: a file of root's below the engine's ROOT. Output: whether a caller may have what a spec needs.
// Answers: A3, traps 2 and 34: the floor knows nothing but this, the spec, and who the kernel says is asking.
package rules

import (
	"slices"
	"strings"
)

// Dir and File are where it lies, below ROOT.
const Dir, File = "policy", "policy.json"

// Policy is the whole of it. The zero value gives nobody anything that not everybody has.
type Policy struct {
	// Level is that of a container for which none was named: "" is standard.
	Level string `json:"level,omitempty"`
	// Strict is the floor: what does not keep to level strict needs levels=standard.
	Strict bool    `json:"strict,omitempty"`
	Grants []Grant `json:"grants"`
	// Runtimes are other OCI runtimes that a container can be made by, where a grant gives runtimes=NAME: how each is called, up
	// to its command. The first word is a path below /usr, which is all that the program sees of the host.
	Runtimes map[string][]string `json:"runtimes,omitempty"`
}

// Grant gives callers what they need. It is for who is in Users, or in one of Groups; a caller who is not known is nobody.
type Grant struct {
	Line     int      `json:"line,omitempty"` // of policy.toml
	Users    []uint32 `json:"users,omitempty"`
	Groups   []uint32 `json:"groups,omitempty"`
	Everyone bool     `json:"everyone,omitempty"`
	// Images are patterns of names and digests of images. The warden knows neither: for it a grant is for every image.
	Images []string `json:"images,omitempty"`
	// Allow are needs, KEY=VALUE, and patterns of needs. A capability is its number in them.
	Allow []string `json:"allow"`
}

// Default is the policy where no file was applied: root, whose the machine is, may have all but level compat.
func Default() *Policy {
	return &Policy{Grants: []Grant{{Users: []uint32{0}, Allow: []string{"capabilities=*", "devices=*", "ports=*", "security-opt=*", "ulimits=*"}}}}
}

// Caller is who asks, as the kernel says: a cred.Peer, of which this package need not know.
type Caller struct {
	UID, GID uint32
	Groups   []uint32
}

// Allow finds the grant that gives a caller what he needs; nil: there is none. image tells whether the image is of a pattern.
func (p *Policy) Allow(need string, by *Caller, image func(pattern string) bool) *Grant {
	needed := func(pattern string) bool { return Match(pattern, need) }
	for i, g := range p.Grants {
		in := func(group uint32) bool { return group == by.GID || slices.Contains(by.Groups, group) }
		his := by != nil && (g.Everyone || slices.Contains(g.Users, by.UID) || slices.ContainsFunc(g.Groups, in))
		if his && slices.ContainsFunc(g.Allow, needed) && (len(g.Images) == 0 || slices.ContainsFunc(g.Images, image)) {
			return &p.Grants[i]
		}
	}
	return nil
}

// Match compares with a pattern: one that ends with * is the beginning of what it stands for.
func Match(pattern, s string) bool {
	begin, open := strings.CutSuffix(pattern, "*")
	return s == pattern || open && strings.HasPrefix(s, begin)
}
