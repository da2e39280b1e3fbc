package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
	"github.com/brig-engine/brig/internal/wire/rules/capname"
)

// Question is whether a caller may have what a spec needs. The warden asks itself the same, but for images and profiles.
type Question struct {
	Policy  *rules.Policy
	By      *rules.Caller
	Image   *image.Image
	Spec    *wire.Spec
	Profile string // as in Effective
	Level   Level
}

// Granted is a need and the line of policy.toml that gives it; 0: the policy where no file was applied.
type Granted struct {
	Need string
	Line int
}

// compatCaps are what level compat has beyond the default: the rest of Docker's fourteen.
func compatCaps() uint64 { return mask("NET_RAW", "MKNOD", "AUDIT_WRITE", "SETFCAP") }

// Needs are those of the spec, and what cannot be seen of one.
func (q *Question) needs() (list []string) {
	list = q.Spec.Needs(q.Policy.Strict)
	if q.Profile != "" && q.Profile != BuiltinProfile && q.Level != Strict {
		list = append(list, "security-opt=seccomp=profile")
	}
	said := beyondFloor() // no line gives these
	if q.Level == Compat {
		said |= compatCaps() // the line that gives the level gives them
		list = append(list, "levels=compat")
	}
	return slices.DeleteFunc(list, func(need string) bool {
		bit, ok := capNeed(need)
		return ok && bit&said != 0
	})
}

// capNeed is the capability of a need.
func capNeed(need string) (bit uint64, ok bool) {
	value, ok := strings.CutPrefix(need, "capabilities=")
	n, err := strconv.ParseUint(value, 10, 6)
	return 1 << n, ok && err == nil
}

// Answer gives what is granted, and refuses all else with the line of policy.toml that would allow it.
func (q *Question) Answer() (granted []Granted, refused Refusals) {
	for _, need := range q.needs() {
		if g := q.Policy.Allow(need, q.By, q.matches); g != nil {
			granted = append(granted, Granted{Need: Line(need), Line: g.Line})
			continue
		}
		option, value := written(need)
		reason := "the rule policy.toml forbids it: no line of it gives this to the caller, who is not known"
		allow := "ask over the engine's unix socket"
		if q.By != nil {
			reason = fmt.Sprintf("the rule policy.toml forbids it: no line of it gives this to user %d", q.By.UID)
			allow = fmt.Sprintf("%s in a rule [[allow]] with users = [%d] in /etc/brig/policy.toml would. Next: brig policy apply",
				Line(need), q.By.UID)
		}
		refused = append(refused, Refusal{Option: option, Value: clip(value), Reason: reason, Allow: allow, Class: errdefs.ErrPermissionDenied})
	}
	return granted, refused
}

// matches compares the pattern of a grant with all that the image is called.
func (q *Question) matches(pattern string) bool {
	if q.Image == nil {
		return false
	}
	names := slices.Concat(q.Image.Names, q.Image.Digests, []string{q.Image.ID})
	return slices.ContainsFunc(names, func(name string) bool { return rules.Match(pattern, name) })
}

// Line is a need as a line of policy.toml.
func Line(need string) string {
	key, value, _ := strings.Cut(need, "=")
	if bit, ok := capNeed(need); ok {
		for i, name := range capname.All {
			if bit == 1<<i {
				value = name
			}
		}
	}
	if key == "ports" {
		return fmt.Sprintf("%s = [%s]", key, value)
	}
	return fmt.Sprintf("%s = [%q]", key, value)
}

// written is a need as an option of a command line.
func written(need string) (option, value string) {
	key, value, _ := strings.Cut(need, "=")
	switch key {
	case "capabilities":
		_, value, _ = strings.Cut(Line(need), `"`)
		return "--cap-add", strings.TrimSuffix(value, `"]`)
	case "devices":
		return "--device", value
	case "ports":
		return "-p", value
	case "ulimits":
		return "--ulimit", value
	case "levels":
		return "--level", value
	}
	return "--" + key, value
}
