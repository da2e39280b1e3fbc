package policy

import (
	"fmt"
	"reflect"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
)

// DecodeUpdate reads the body of an update request. What it may change is the restart policy; clients send every other
// field as zero.
func DecodeUpdate(b []byte) (*container.UpdateConfig, error) {
	in := struct {
		container.UpdateConfig
		KernelMemory    int64
		KernelMemoryTCP int64
	}{}
	if err := strict(b, &in); err != nil {
		return nil, err
	}
	c := &collector{}
	c.missing(in.KernelMemory != 0, "--kernel-memory", "")
	c.missing(in.KernelMemoryTCP != 0, "KernelMemoryTCP", "")
	c.bounds(&in.Resources)
	if err := c.err(); err != nil {
		return nil, err
	}
	return &in.UpdateConfig, nil
}

// bounds refuses every bound by the name that it has in a request.
func (c *collector) bounds(r *container.Resources) {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		c.refusals = append(c.refusals, Refusal{"update " + v.Type().Field(i).Name, clip(fmt.Sprint(f.Interface())),
			"not supported by this version of Brig, which changes the restart policy only", "make the container anew", errdefs.ErrNotImplemented})
	}
}

// CheckUpdate decides about a new restart policy for a container.
func CheckUpdate(p container.RestartPolicy, h *container.HostConfig) error {
	if err := container.ValidateRestartPolicy(p); err != nil {
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if h.AutoRemove && !p.IsNone() {
		return fmt.Errorf("Restart policy cannot be updated because AutoRemove is enabled for the container: %w", //nolint:staticcheck
			errdefs.ErrConflict)
	}
	return nil
}
