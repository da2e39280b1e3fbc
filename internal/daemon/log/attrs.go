package log

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Info is what a driver may tell about a container.
type Info struct {
	ID, Name, Entrypoint string
	Args                 []string
	ImageID, Image       string
	Created              time.Time
	Env                  []string
	Labels               map[string]string
	Config               map[string]string // the options of the log, as they were given
}

// Attr is something that was noted beside each line.
type Attr struct{ Key, Value string }

// Choice says what of a container is noted beside each line.
type Choice struct {
	Labels      string `json:"labels,omitempty"` // names, with commas between
	LabelsRegex string `json:"labelsRegex,omitempty"`
	Env         string `json:"env,omitempty"`
	EnvRegex    string `json:"envRegex,omitempty"`
	Tag         string `json:"tag,omitempty"` // a template
}

const (
	// maxAttrs bounds what is noted, in bytes: it goes with every line.
	maxAttrs = 16 << 10
	// maxChoice bounds each option.
	maxChoice  = 4 << 10
	defaultTag = "{{.ID}}"
)

func (c *Choice) field(k string) *string {
	return map[string]*string{"labels": &c.Labels, "labels-regex": &c.LabelsRegex, "env": &c.Env, "env-regex": &c.EnvRegex,
		"tag": &c.Tag}[k]
}

func (c *Choice) known(k string) bool { return c.field(k) != nil }

func (c *Choice) set(k, v string) error {
	if len(v) > maxChoice {
		return fmt.Errorf("%s: has %d bytes; at most %d", k, len(v), maxChoice)
	}
	if strings.HasSuffix(k, "-regex") {
		if _, err := regexp.Compile(v); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	*c.field(k) = v
	return nil
}

// Meta is what a driver tells about a container: its tag, and what was chosen, sorted by key.
type Meta struct {
	Tag   string
	Attrs []Attr
}

// Meta makes what is told about this container. Its name may change from start to start; whether there is an error does not
// depend on it.
func (o *Options) Meta(i Info) (m Meta, err error) {
	if o.Driver == DriverNone {
		return m, nil
	}
	found := map[string]string{}
	pick(found, o.Labels, o.LabelsRegex, i.Labels)
	env := map[string]string{}
	for _, e := range i.Env {
		if k, v, ok := strings.Cut(e, "="); ok {
			env[k] = v
		}
	}
	pick(found, o.Env, o.EnvRegex, env)
	if o.Tag != "" || o.remote() {
		template := o.Tag
		if template == "" {
			template = defaultTag
		}
		if m.Tag, err = expand(template, i); err != nil {
			return m, fmt.Errorf("--log-opt tag: %w", err)
		}
	}
	if o.Tag != "" && m.Tag != "" {
		found["tag"] = m.Tag
	}
	size := 0
	for k, v := range found {
		m.Attrs = append(m.Attrs, Attr{k, v})
		size += len(k) + len(v)
	}
	if size > maxAttrs {
		return m, fmt.Errorf("--log-opt labels, env: what they choose has %d bytes and would go with every line; at most %d",
			size, maxAttrs)
	}
	slices.SortFunc(m.Attrs, func(a, b Attr) int { return strings.Compare(a.Key, b.Key) })
	return m, nil
}

// pick puts into found what names or pattern choose of all.
func pick(found map[string]string, names, pattern string, all map[string]string) {
	for name := range strings.SplitSeq(names, ",") {
		if v, ok := all[name]; ok && names != "" {
			found[name] = v
		}
	}
	if pattern == "" {
		return
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return // set has refused it
	}
	for k, v := range all {
		if re.MatchString(k) {
			found[k] = v
		}
	}
}
