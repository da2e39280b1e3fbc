package policy

import (
	"errors"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/wire"
)

// ExecInput is one exec request with the container that it goes to.
type ExecInput struct {
	Request *container.ExecCreateRequest
	Spec    *wire.Spec
	Config  *container.Config
	Image   *image.Image
	Level   Level // of the container
}

// MakeExec decides about one exec: never more than what the container itself has. With NoUser for an error all else of the
// request is as it must be.
func MakeExec(in ExecInput) (*wire.Process, error) {
	c := &collector{}
	r, own := in.Request, &in.Spec.Process
	if r.Privileged {
		c.forbid("--privileged", "", "the rule no-privileged forbids it: the process would own the host", "leave it out")
	}
	if _, err := ParseDetachKeys(r.DetachKeys); err != nil {
		c.invalid("--detach-keys", r.DetachKeys, "%v", err)
	}
	user := r.User
	if user == "" {
		user = in.Config.User
	}
	u, err := resolveUser(user, in.Image)
	var missing NoUser
	if err != nil && !errors.As(err, &missing) {
		c.invalid("-u", user, "%v", err)
	}
	if r.User == "" {
		u.User = own.User
	}
	if in.Level == Strict && u.UID == 0 && err == nil {
		c.notRoot(user)
	}
	if len(r.Cmd) == 0 || r.Cmd[0] == "" {
		c.invalid("COMMAND", "", "no exec command specified")
	}
	for _, a := range r.Cmd {
		if strings.Contains(a, "\x00") {
			c.invalid("COMMAND", a, "an argument cannot contain a NUL byte")
		}
	}
	p := &wire.Process{
		Args:               r.Cmd,
		Env:                processEnv(c.overlayEnv(in.Config.Env, r.Env), in.Spec.Hostname, u.home, r.Tty),
		Cwd:                own.Cwd,
		User:               u.User,
		Capabilities:       capsFor(own.Capabilities.Bounding, u.UID),
		AllowNewPrivileges: own.AllowNewPrivileges,
		Rlimits:            own.Rlimits,
		OOMScoreAdj:        own.OOMScoreAdj,
		NoLandlock:         own.NoLandlock,
		ABI32:              own.ABI32,
		AppArmor:           own.AppArmor,
		Terminal:           r.Tty,
		Stdin:              r.AttachStdin,
	}
	if r.WorkingDir != "" {
		p.Cwd = c.cwd(r.WorkingDir)
	}
	if r.ConsoleSize != nil {
		p.Rows, p.Cols = c.consoleSize(*r.ConsoleSize)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if missing != "" {
		return nil, missing
	}
	return p, nil
}
