package policyfile

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/brig-engine/brig/internal/wire/rules"
	"github.com/brig-engine/brig/internal/wire/rules/capname"
)

// compat is what level compat needs: the level, and the rest of Docker's capabilities.
func compat() []string {
	allow := []string{"levels=compat"}
	for _, name := range []string{"NET_RAW", "MKNOD", "AUDIT_WRITE", "SETFCAP"} {
		n, _ := capname.Number(name)
		allow = append(allow, "capabilities="+strconv.Itoa(n))
	}
	return allow
}

// rule compiles one [[allow]].
func (c *compiler) rule(n, line int, r *rule) {
	c.where = fmt.Sprintf("rule %d: ", n)
	if line > 0 {
		c.where = fmt.Sprintf("rule %d, line %d: ", n, line)
	}
	g := rules.Grant{Line: line, Images: r.Images}
	g.Users = c.ids("users", r.Users, c.find.User, &g.Everyone)
	g.Groups = c.ids("groups", r.Groups, c.find.Group, nil)
	if len(r.Users)+len(r.Groups) == 0 {
		c.fault("users", "[]", `nobody is named; users = ["*"] is everybody`)
	}
	for _, p := range r.Images {
		if p != "*" && !strings.Contains(p, "/") && !strings.HasPrefix(p, "sha256:") {
			c.fault("images", p, "is no full name, which is what images are compared with: docker.io/library/%s", p)
		}
	}
	g.Allow = slices.Concat(c.capabilities(r.Capabilities), c.devices(r.Devices), c.ports(r.Ports),
		c.words("security-opt", r.SecurityOpt, "seccomp=unconfined", "seccomp=profile", "no-new-privileges=false", "abi32=allow", "apparmor=*", "label=*"),
		c.words("ulimits", r.Ulimits, "rtprio", "nice"))
	g.Allow = append(g.Allow, c.words("runtimes", r.Runtimes, slices.Sorted(maps.Keys(c.policy.Runtimes))...)...)
	for _, need := range c.words("levels", r.Levels, "standard", "compat") {
		if need == "levels=compat" {
			g.Allow = append(g.Allow, compat()...)
		} else {
			g.Allow = append(g.Allow, need)
		}
	}
	if len(g.Allow) == 0 {
		c.fault("allow", "", "nothing is allowed by it")
	}
	c.policy.Grants = append(c.policy.Grants, g)
}

// ids reads names and numbers; everyone is set by "*", where that is possible.
func (c *compiler) ids(key string, list []any, find func(string) (uint32, error), everyone *bool) (ids []uint32) {
	const most = 1<<32 - 2 // the last is nobody
	for _, v := range list {
		switch v := v.(type) {
		case int64:
			if v < 0 || v > most {
				c.fault(key, v, "is no number of one")
				continue
			}
			ids = append(ids, uint32(v))
		case string:
			if v == "*" && everyone != nil {
				*everyone = true
				continue
			}
			id, err := find(v)
			if err != nil {
				c.fault(key, strconv.Quote(v), "%v", err)
				continue
			}
			ids = append(ids, id)
		default:
			c.fault(key, v, "is neither a name nor a number")
		}
	}
	return ids
}

func (c *compiler) capabilities(list []string) (allow []string) {
	for _, name := range list {
		n, ok := capname.Number(name)
		switch {
		case name == "*":
			allow = append(allow, "capabilities=*")
		case !ok:
			c.fault("capabilities", name, "there is no capability of this name")
		case slices.Contains(capname.Never, capname.All[n]):
			c.fault("capabilities", name, "reaches beyond a container, and no line can allow it")
		default:
			allow = append(allow, "capabilities="+strconv.Itoa(n))
		}
	}
	return allow
}

func (c *compiler) devices(list []string) (allow []string) {
	for _, d := range list {
		begin := strings.TrimSuffix(d, "*")
		if clean := path.Clean(d); clean != d || !strings.HasPrefix(begin, "/dev/") || strings.Contains(begin, "*") {
			c.fault("devices", d, "is a path below /dev, or the beginning of paths: /dev/dri/*")
			continue
		}
		allow = append(allow, "devices="+d)
	}
	return allow
}

func (c *compiler) ports(list []any) (allow []string) {
	for _, p := range list {
		n, isNumber := p.(int64)
		switch {
		case p == "*":
			allow = append(allow, "ports=*")
		case isNumber && n >= 1 && n < 1024:
			allow = append(allow, "ports="+strconv.FormatInt(n, 10))
		default:
			c.fault("ports", p, `is a port below 1024, or "*"; all others are everybody's`)
		}
	}
	return allow
}

// words passes those of a closed list.
func (c *compiler) words(key string, list []string, known ...string) (allow []string) {
	for _, v := range list {
		if !slices.Contains(known, v) {
			c.fault(key, v, "there are %s", strings.Join(known, ", "))
			continue
		}
		allow = append(allow, key+"="+v)
	}
	return allow
}
