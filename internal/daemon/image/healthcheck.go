package image

import (
	"strconv"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// healthcheck reads NONE, or options and CMD with a command in the JSON form or as a line for the shell.
func healthcheck(c *dockerspec.DockerOCIImageConfig, rest string) error {
	h := &dockerspec.HealthcheckConfig{}
	for strings.HasPrefix(rest, "--") {
		var option string
		option, rest, _ = strings.Cut(rest, " ")
		rest = strings.TrimSpace(rest)
		if err := healthOption(h, option); err != nil {
			return err
		}
	}
	kind, line, _ := strings.Cut(rest, " ")
	line = strings.TrimSpace(line)
	switch {
	case strings.EqualFold(kind, "NONE") && line == "":
		h.Test = []string{"NONE"}
	case strings.EqualFold(kind, "CMD") && line != "":
		h.Test = []string{"CMD-SHELL", line}
		if list, ok := jsonForm(line); ok && len(list) > 0 {
			h.Test = append([]string{"CMD"}, list...)
		}
	default:
		return refuse("HEALTHCHECK is followed by options and CMD, or by NONE")
	}
	c.Healthcheck = h
	return nil
}

func healthOption(h *dockerspec.HealthcheckConfig, option string) error {
	name, value, _ := strings.Cut(option, "=")
	if name == "--retries" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return refuse("--retries is at least 1, not %.32q", value)
		}
		h.Retries = n
		return nil
	}
	d := map[string]*time.Duration{"--interval": &h.Interval, "--timeout": &h.Timeout, "--start-period": &h.StartPeriod,
		"--start-interval": &h.StartInterval}[name]
	if d == nil {
		return refuse("HEALTHCHECK has no option %.32q", name)
	}
	n, err := time.ParseDuration(value)
	if err != nil || n != 0 && n < time.Millisecond {
		return refuse("%s is a time of at least 1ms, not %.32q", name, value)
	}
	*d = n
	return nil
}
