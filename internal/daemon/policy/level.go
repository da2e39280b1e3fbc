package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// Level is how much a container is confined, all in one word.
type Level string

// The levels. What each of them gives is docs/policy.md.
const (
	Standard Level = "standard"
	Strict   Level = "strict"
	Compat   Level = "compat"
)

// LevelAnnotation of a request names the level: every client of Docker's API can send it, and no image has annotations.
const LevelAnnotation = "brig.level"

// RecordAnnotation has the system calls of a container recorded, if it is true: brig run --record.
const RecordAnnotation = "brig.record"

// Recorded tells whether the system calls of a container that was made are recorded.
func Recorded(h *container.HostConfig) bool { return h.Annotations[RecordAnnotation] == "true" }

// LevelOf is the level of a container that was made.
func LevelOf(h *container.HostConfig) Level {
	if l := h.Annotations[LevelAnnotation]; l != "" {
		return Level(l)
	}
	return Standard
}

// setLevel finds the level: the request's, or the policy's. It is an annotation of the container from then on.
func (c *collector) setLevel(in *Input, e *Effective) {
	named, ok := in.Request.Host.Annotations[LevelAnnotation]
	c.level = Level(named)
	if !ok {
		c.level = cmp.Or(Level(in.Policy.Level), Standard)
	}
	if !slices.Contains([]Level{Standard, Strict, Compat}, c.level) {
		c.invalid("--level, --annotation "+LevelAnnotation+"="+clip(string(c.level)), "", "the levels are standard, strict and compat")
		c.level = Standard
	}
	e.Level = c.level
	if c.level == Strict {
		r := c.strict(in.Request)
		in.Request, e.HostConf = r, r.Host
	}
	if c.level == Standard && !ok {
		return
	}
	e.HostConf.Annotations = mapsWith(e.HostConf.Annotations, LevelAnnotation, string(c.level))
}

func mapsWith(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// strict is a request as level strict has it: what was not said is what the survey's guides recommend, and what was said
// and is against that is refused. The user is looked at where it is resolved (process).
func (c *collector) strict(asked *Request) *Request {
	r := *asked
	h := &r.Host
	var kept []string
	for _, name := range h.CapAdd {
		c.notStrict("--cap-add", name, "it gives no capability", "leave it out")
	}
	for _, o := range h.SecurityOpt {
		name, value, ok := strings.Cut(o, "=")
		if !ok {
			name, value, _ = strings.Cut(o, ":")
		}
		loosens := value == "unconfined" || value == "disable" || name == "abi32" && value == "allow" || name == "no-new-privileges" && value == "false"
		switch {
		case loosens:
			c.notStrict("--security-opt", o, "it takes no confinement away", "leave it out")
		case name == "apparmor":
			c.notStrict("--security-opt", o, "whether another profile takes confinement away, nobody knows", "leave it out")
		case name == "label" && !strings.HasPrefix(value, "level:"):
			c.notStrict("--security-opt", o, "whether another label takes confinement away, nobody knows", "leave it out")
		case name == "label", name == "seccomp": // a profile is above the default, and can only take away; a level says whose files
			kept = append(kept, o)
		}
	}
	for _, d := range h.Devices {
		c.notStrict("--device", d.PathOnHost, "it gives no device of the host", "leave it out")
	}
	if len(h.DeviceRequests) > 0 {
		c.notStrict("--gpus", "", "it gives no device of the host", "leave it out")
	}
	h.CapAdd, h.Devices, h.DeviceRequests, h.SecurityOpt = nil, nil, nil, kept
	h.ReadonlyRootfs = true
	if !slices.ContainsFunc(h.CapDrop, isAll) {
		h.CapDrop = append([]string{"ALL"}, h.CapDrop...)
	}
	if end, unnamed := unnamedNetwork(&r); unnamed {
		if len(h.PortBindings) > 0 || h.PublishAllPorts {
			c.notStrict("-p", "", "it gives no network that was not named", "name one: --network bridge")
		}
		h.NetworkMode, h.PortBindings, h.PublishAllPorts = network.NetworkNone, nil, false
		if end != nil { // what it says is still looked at
			r.Networking.EndpointsConfig = map[string]*network.EndpointSettings{network.NetworkNone: end}
		}
	}
	return &r
}

// unnamedNetwork tells whether a request names no network. Docker's client then sends an endpoint that is called default.
func unnamedNetwork(r *Request) (*network.EndpointSettings, bool) {
	mode, ends := r.Host.NetworkMode, r.Networking.EndpointsConfig
	end, named := ends[network.NetworkDefault]
	if mode != "" && mode != network.NetworkDefault || len(ends) > 1 || len(ends) == 1 && !named {
		return nil, false
	}
	return end, true
}

// notStrict refuses what level strict does not have.
func (c *collector) notStrict(option, value, reason, allow string) {
	c.forbid(option, value, "the rule level-strict forbids it: "+reason, allow+", or choose another --level")
}

// notRoot is the part of level strict that is about the user of a process.
func (c *collector) notRoot(user string) {
	if user == "" {
		user = "root"
	}
	c.notStrict("-u", user, "nothing in it runs as root", "name another user of the image, or a number: -u 1000:1000")
}
