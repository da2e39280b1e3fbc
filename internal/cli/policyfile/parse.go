package policyfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/brig-engine/brig/internal/wire/rules"
)

// Lookup finds the numbers of users and groups of this machine.
type Lookup struct {
	User, Group func(name string) (uint32, error)
	// Program says what is wrong with a program that is to be executed in a sandbox.
	Program func(path string) (real string, err error)
}

// file is policy.toml as it is written.
type file struct {
	Level string `toml:"level"`
	Floor string `toml:"floor"`
	Allow []rule `toml:"allow"`

	Runtimes map[string]program `toml:"runtimes"`
}

// program is one [runtimes.NAME].
type program struct {
	Path      string   `toml:"path"`
	Arguments []string `toml:"arguments"`
}

// rule is one [[allow]]. What may be a name or a number is read as it comes.
type rule struct {
	Users        []any    `toml:"users"`
	Groups       []any    `toml:"groups"`
	Images       []string `toml:"images"`
	Capabilities []string `toml:"capabilities"`
	SecurityOpt  []string `toml:"security-opt"`
	Devices      []string `toml:"devices"`
	Ports        []any    `toml:"ports"`
	Ulimits      []string `toml:"ulimits"`
	Levels       []string `toml:"levels"`
	Runtimes     []string `toml:"runtimes"`
}

// levels from the weakest.
var levels = []string{"compat", "standard", "strict"}

// Parse compiles a file. The error has everything that is wrong with it, a line each.
func Parse(b []byte, find Lookup) (*rules.Policy, error) {
	var f file
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, located(err)
	}
	c := &compiler{find: find, policy: &rules.Policy{Grants: []rules.Grant{}}}
	c.levels(f.Level, f.Floor)
	c.runtimes(f.Runtimes)
	lines := ruleLines(b)
	for i := range f.Allow {
		line := 0
		if len(lines) == len(f.Allow) { // they are not written as [[allow]] otherwise
			line = lines[i]
		}
		c.rule(i+1, line, &f.Allow[i])
	}
	if c.wrong != nil {
		return nil, errors.Join(c.wrong...)
	}
	return c.policy, nil
}

// located gives the errors of the library their lines.
func located(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var all []error
		for i := range unknown.Errors {
			line, _ := unknown.Errors[i].Position()
			all = append(all, fmt.Errorf("line %d: there is no key %s", line, strings.Join(unknown.Errors[i].Key(), ".")))
		}
		return errors.Join(all...)
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, _ := at.Position()
		return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(at.Error(), "toml: "))
	}
	return err
}

// ruleLines are the lines of all [[allow]].
func ruleLines(b []byte) (lines []int) {
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text, _, _ := strings.Cut(string(line), "#")
		if strings.Join(strings.Fields(text), "") == "[[allow]]" {
			lines = append(lines, n)
		}
	}
	return lines
}

// compiler collects what is wrong while it compiles.
type compiler struct {
	find   Lookup
	policy *rules.Policy
	where  string
	wrong  []error
}

func (c *compiler) fault(key string, value any, format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf("%s%s %v: %s", c.where, key, value, fmt.Sprintf(format, args...)))
}

// levels sets the level of who names none, and the floor. The weakest floor gives level compat to everybody.
func (c *compiler) levels(level, floor string) {
	if floor == "" {
		floor = "standard"
	}
	if level == "" && floor == "strict" {
		level = "strict"
	} else if level == "" {
		level = "standard"
	}
	of, at := slices.Index(levels, level), slices.Index(levels, floor)
	switch {
	case at < 0:
		c.fault("floor", floor, "the levels are strict, standard and compat")
	case of < 0:
		c.fault("level", level, "the levels are strict, standard and compat")
	case of < at:
		c.fault("level", level, "is weaker than the floor %s", floor)
	}
	c.policy.Level, c.policy.Strict = level, floor == "strict"
	if floor == "compat" {
		c.policy.Grants = append(c.policy.Grants, rules.Grant{Everyone: true, Allow: compat()})
	}
}
