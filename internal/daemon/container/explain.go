package container

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/explain"
	"github.com/brig-engine/brig/internal/daemon/policy"
	"github.com/brig-engine/brig/internal/wire"
)

// Plan gives what the warden would execute for a request to create a container and to start it. Nothing is made; what would be
// refused is the error. caller is a descriptor of the caller's connection, or -1; it stays open.
func (e *Engine) Plan(ctx context.Context, req *policy.Request, caller int) (*explain.Plan, error) {
	id := newID()
	eff, _, err := e.effective(id, req)
	if err != nil {
		return nil, err
	}
	if name := eff.Spec.Runtime; name != "" {
		return nil, fmt.Errorf("--runtime %s: what another runtime does in its sandbox, only that knows: %w", name, errdefs.ErrNotImplemented)
	}
	q := wire.ContainerStart{ID: id, Spec: eff.Spec}
	if q.Spec.Resources.Rates, err = policy.Disks(q.Spec.Resources.Rates); err != nil {
		return nil, err
	}
	if q.Spec.Process.Filter, err = e.filter(eff.Profile, &eff.Spec.Process, &eff.HostConf); err != nil {
		return nil, err
	}
	var pass []int
	if caller >= 0 {
		pass = []int{caller}
	}
	var answer json.RawMessage
	if _, err := e.cfg.Warden.Call(ctx, wire.OpContainerPlan, q, &answer, pass...); err != nil {
		return nil, err
	}
	return explain.Decode(answer)
}

// Confinement gives what the kernel says of a running container, beside what was asked for.
func (e *Engine) Confinement(ctx context.Context, c *Container) ([]explain.Finding, error) {
	v := c.View()
	if v.State != Running {
		return nil, errNotRunning(c)
	}
	if name := v.Spec.Runtime; name != "" {
		return nil, fmt.Errorf("container %s was made by the runtime %s, and what that did Brig has not asked for: %w", v.Name, name, errdefs.ErrNotImplemented)
	}
	filter, err := e.filter(v.Profile, &v.Spec.Process, &v.Host)
	if err != nil {
		return nil, err
	}
	filters := 2 // the floor's, and the default or a profile
	switch {
	case filter != nil && filter.Narrows:
		filters = 3
	case filter != nil && len(filter.Program) == 0:
		filters = 1
	}
	var view wire.ContainerView
	q := wire.ContainerLook{ID: c.id, Names: explain.Names}
	if _, err := e.cfg.Warden.Call(ctx, wire.OpContainerView, q, &view); err != nil {
		return nil, fmt.Errorf("look at container %s: %w", c.id[:12], err)
	}
	exists := func(path string) bool { // the same kernel has it here, if it has it there
		_, err := os.Lstat(path)
		return err == nil
	}
	ours := func(name string) string {
		link, _ := os.Readlink("/proc/self/" + name)
		return link
	}
	r := explain.Running{Spec: &v.Spec, Range: v.Run.Range, Filters: filters, Exists: exists, Ours: ours}
	return explain.Compare(r, view), nil
}
