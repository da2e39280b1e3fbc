package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
)

// RestartUnhealthyLabel of a request, with the value true, asks that the container is restarted when its health checks
// have failed. A label, because that is what every client of Docker's API can set, and Compose files can say. The label
// of an image asks for nothing: what a container does is for who runs it to say.
const RestartUnhealthyLabel = "dev.brig.restart-unhealthy"

// leastDuration is the shortest of a health check's times that is accepted, as in Docker.
const leastDuration = time.Millisecond

// restart checks the restart policy.
func (c *collector) restart(h *container.HostConfig) {
	p := h.RestartPolicy
	if err := container.ValidateRestartPolicy(p); err != nil {
		c.invalid("--restart", string(p.Name), "%v", err)
	}
	if h.AutoRemove && !p.IsNone() {
		c.invalid("--restart", string(p.Name), "can't create 'AutoRemove' container with restart policy: "+
			"what --rm removes cannot be started again")
	}
}

// restartUnhealthy reads the label of a request.
func (c *collector) restartUnhealthy(r *Request, check *container.HealthConfig) bool {
	v, there := r.Config.Labels[RestartUnhealthyLabel]
	if !there {
		return false
	}
	on, err := strconv.ParseBool(v)
	switch option := "--label " + RestartUnhealthyLabel; {
	case err != nil:
		c.invalid(option, v, "is true or false")
	case on && r.Host.AutoRemove:
		c.invalid(option, v, "what --rm removes cannot be started again")
	case on && (check == nil || len(check.Test) < 2):
		c.warn("%s has no effect: the container has no health check", RestartUnhealthyLabel)
	}
	return on
}

// healthcheck lays the request's health check over the image's, field by field as Docker does, and checks the
// request's. The image's is a stranger's: what makes no sense in it is read as not said.
func (c *collector) healthcheck(req, img *dockerspec.HealthcheckConfig) *container.HealthConfig {
	if req == nil {
		if img == nil || !knownTest(img.Test) {
			return nil
		}
		h := *img
		return &h
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{{"--health-interval", req.Interval}, {"--health-timeout", req.Timeout}, {"--health-start-period", req.StartPeriod},
		{"--health-start-interval", req.StartInterval}} {
		if d.value != 0 && d.value < leastDuration {
			c.invalid(d.option, d.value.String(), "cannot be less than %v", leastDuration)
		}
	}
	if req.Retries < 0 {
		c.invalid("--health-retries", strconv.Itoa(req.Retries), "cannot be negative")
	}
	if len(req.Test) > 0 && !knownTest(req.Test) {
		c.invalid("--health-cmd", strings.Join(req.Test, " "), "a test is NONE, or CMD or CMD-SHELL and a command")
	}
	for _, a := range req.Test {
		if strings.Contains(a, "\x00") {
			c.invalid("--health-cmd", a, "an argument cannot contain a NUL byte")
		}
	}
	h := *req
	if img == nil || !knownTest(img.Test) {
		return &h
	}
	if len(h.Test) == 0 {
		h.Test = slices.Clone(img.Test)
	}
	for _, d := range []struct {
		value  *time.Duration
		images time.Duration
	}{{&h.Interval, img.Interval}, {&h.Timeout, img.Timeout}, {&h.StartPeriod, img.StartPeriod},
		{&h.StartInterval, img.StartInterval}} {
		if *d.value == 0 {
			*d.value = d.images
		}
	}
	if h.Retries == 0 {
		h.Retries = img.Retries
	}
	return &h
}

func knownTest(t []string) bool {
	switch {
	case len(t) == 1:
		return t[0] == "NONE"
	case len(t) > 1:
		return (t[0] == "CMD" || t[0] == "CMD-SHELL") && t[1] != ""
	}
	return false
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
