package request

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// restartUnhealthy is the label that --restart-unhealthy sets; other clients of the API set it themselves.
const restartUnhealthy = "dev.brig.restart-unhealthy"

// health holds the options of a health check.
type health struct {
	command                                       string
	interval, timeout, startPeriod, startInterval time.Duration
	retries                                       int
	none, restart                                 bool
}

func (h *health) bind(fs *pflag.FlagSet) {
	fs.StringVar(&h.command, "health-cmd", "", "Command that tells whether the program is healthy")
	fs.DurationVar(&h.interval, "health-interval", 0, "Time between two checks (default 30s)")
	fs.DurationVar(&h.timeout, "health-timeout", 0, "Longest time that one check may take (default 30s)")
	fs.IntVar(&h.retries, "health-retries", 0, "Failures in a row that mean unhealthy (default 3)")
	fs.DurationVar(&h.startPeriod, "health-start-period", 0, "Time after the start in which failures do not count")
	fs.DurationVar(&h.startInterval, "health-start-interval", 0, "Time between two checks in that period (default 5s)")
	fs.BoolVar(&h.none, "no-healthcheck", false, "Do not run the image's health check")
	fs.BoolVar(&h.restart, "restart-unhealthy", false, "Restart the container when it is unhealthy")
}

// config is nil where nothing was said.
func (h *health) config() (*engineapi.HealthConfig, error) {
	c := engineapi.HealthConfig{Interval: h.interval, Timeout: h.timeout, StartPeriod: h.startPeriod,
		StartInterval: h.startInterval, Retries: h.retries}
	if h.command != "" {
		c.Test = []string{"CMD-SHELL", h.command}
	}
	said := c.Test != nil || c.Interval != 0 || c.Timeout != 0 || c.StartPeriod != 0 || c.StartInterval != 0 || c.Retries != 0
	switch {
	case h.none && said:
		return nil, errors.New("--no-healthcheck conflicts with --health-* options")
	case h.none:
		return &engineapi.HealthConfig{Test: []string{"NONE"}}, nil
	case !said:
		return nil, nil
	}
	for option, d := range map[string]time.Duration{"interval": h.interval, "timeout": h.timeout,
		"start-period": h.startPeriod, "start-interval": h.startInterval, "retries": time.Duration(h.retries)} {
		if d < 0 {
			return nil, fmt.Errorf("--health-%s cannot be negative", option)
		}
	}
	return &c, nil
}
