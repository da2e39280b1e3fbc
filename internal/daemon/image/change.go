package image

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

const maxChanges = 1024

// applyChanges carries out the Dockerfile instructions of --change on a config.
func applyChanges(c *dockerspec.DockerOCIImageConfig, changes []string) error {
	n := 0
	for _, change := range changes {
		for line := range strings.Lines(change) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if n++; n > maxChanges {
				return refuse("more than %d changes", maxChanges)
			}
			word, rest, _ := strings.Cut(line, " ")
			if err := applyChange(c, strings.ToUpper(word), strings.TrimSpace(rest)); err != nil {
				return refuse("--change %.128q: %v", line, err)
			}
		}
	}
	return nil
}

func applyChange(c *dockerspec.DockerOCIImageConfig, word, rest string) error {
	if strings.ContainsRune(rest, 0) {
		return refuse("it has a zero byte")
	}
	if rest == "" {
		return refuse("%.32s needs a value", word)
	}
	switch word {
	case "CMD":
		c.Cmd = command(rest)
	case "ENTRYPOINT":
		c.Entrypoint = command(rest)
	case "USER":
		c.User = rest
	case "STOPSIGNAL":
		c.StopSignal = rest
	case "WORKDIR":
		if !path.IsAbs(rest) {
			rest = path.Join("/", c.WorkingDir, rest)
		}
		c.WorkingDir = path.Clean(rest)
	case "ENV", "LABEL":
		return setPairs(c, word, rest)
	case "EXPOSE":
		return expose(c, rest)
	case "VOLUME":
		return volumes(c, rest)
	case "HEALTHCHECK":
		return healthcheck(c, rest)
	default:
		return refuse("the instruction is not one of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER, " +
			"VOLUME, WORKDIR")
	}
	return nil
}

// command reads the JSON form or the shell form.
func command(s string) []string {
	if list, ok := jsonForm(s); ok {
		return list
	}
	return []string{"/bin/sh", "-c", s}
}

func jsonForm(s string) (list []string, ok bool) {
	ok = s[0] == '[' && json.Unmarshal([]byte(s), &list) == nil
	return list, ok
}

// setPairs reads KEY=VALUE ..., or the old form KEY VALUE.
func setPairs(c *dockerspec.DockerOCIImageConfig, word, rest string) error {
	list, err := words(rest)
	if err != nil {
		return err
	}
	if first, value, ok := strings.Cut(rest, " "); ok && !strings.Contains(first, "=") {
		list = []string{first + "=" + strings.TrimSpace(value)}
	}
	for _, w := range list {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return refuse("%.64q is not of the form KEY=VALUE", w)
		}
		if word == "LABEL" {
			if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			c.Labels[k] = v
			continue
		}
		c.Env = setEnv(c.Env, k, v)
	}
	return nil
}

func setEnv(env []string, k, v string) []string {
	for i, e := range env {
		if strings.HasPrefix(e, k+"=") {
			env[i] = k + "=" + v
			return env
		}
	}
	return append(env, k+"="+v)
}

func expose(c *dockerspec.DockerOCIImageConfig, rest string) error {
	for _, w := range strings.Fields(rest) {
		port, proto, ok := strings.Cut(w, "/")
		if !ok {
			proto = "tcp"
		}
		low, high, isRange := strings.Cut(port, "-")
		if !isRange {
			high = low
		}
		a, err1 := strconv.ParseUint(low, 10, 16)
		b, err2 := strconv.ParseUint(high, 10, 16)
		proto = strings.ToLower(proto)
		if err1 != nil || err2 != nil || a == 0 || b < a || proto != "tcp" && proto != "udp" && proto != "sctp" {
			return refuse("%.64q is no port", w)
		}
		if c.ExposedPorts == nil {
			c.ExposedPorts = map[string]struct{}{}
		}
		for p := a; p <= b; p++ {
			c.ExposedPorts[strconv.FormatUint(p, 10)+"/"+proto] = struct{}{}
		}
	}
	return nil
}

func volumes(c *dockerspec.DockerOCIImageConfig, rest string) error {
	var list []string
	if rest[0] != '[' || json.Unmarshal([]byte(rest), &list) != nil {
		list = strings.Fields(rest)
	}
	for _, v := range list {
		if strings.TrimSpace(v) == "" {
			return refuse("a volume without a path")
		}
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		c.Volumes[v] = struct{}{}
	}
	return nil
}

// words splits a line as a shell does: quotes keep words together, a backslash keeps one character.
func words(s string) ([]string, error) {
	var out []string
	var b strings.Builder
	var quote rune
	in, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				b.WriteRune(r)
			}
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == ' ' || r == '\t':
			if in {
				out = append(out, b.String())
				b.Reset()
			}
			in = false
		default:
			b.WriteRune(r)
			in = true
		}
	}
	if quote != 0 || escaped {
		return nil, refuse("a quote or a backslash stays open")
	}
	if in {
		out = append(out, b.String())
	}
	return out, nil
}
