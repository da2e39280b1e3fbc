package policy

import (
	"cmp"
	"slices"
	"strings"
)

// label is what options say about the SELinux label of a container.
type label struct {
	user, role, kind, level string
	disable                 bool
}

// selinux reads one option: user:U, role:R, type:T, level:L or disable. Which types are to be had is the policy's to say, the
// administrator's and the kernel's.
func (c *collector) selinux(o, value string, l *label, have bool) {
	part, text, _ := strings.Cut(value, ":")
	field := map[string]*string{"user": &l.user, "role": &l.role, "type": &l.kind, "level": &l.level}[part]
	switch {
	case value == "disable":
		l.disable = have // or there is nothing to switch off
	case field == nil:
		c.invalid("--security-opt", o, "a label is disable, or user:, role:, type: or level: with what it is to be")
	case !have:
		c.invalid("--security-opt", o, "this host has no SELinux with a policy for containers, and a label that nothing looks at is not set; "+
			"leave it out, or write label=disable")
	case !wordOfLabel(text, part == "level"):
		c.invalid("--security-opt", o, "it is no part of a label")
	default:
		*field = text
	}
	if l.disable && *l != (label{disable: true}) {
		c.invalid("--security-opt", o, "label=disable and the parts of a label exclude each other")
	}
}

// process is what the warden is told: "" is its own.
func (l label) process() string {
	switch parts := []string{l.user, l.role, l.kind}; {
	case l.disable:
		return "disable"
	case slices.Max(parts) == "":
		return ""
	}
	return cmp.Or(l.user, "system_u") + ":" + cmp.Or(l.role, "system_r") + ":" + cmp.Or(l.kind, "container_t")
}

// wordOfLabel: words of letters, digits and _, which in a level may be joined by : , . and -
func wordOfLabel(s string, level bool) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '_'
		return !letter && !(level && strings.ContainsRune(":,.-", r))
	})
}
