package log

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A tag is a template of Go as Docker takes it, of which this is the part that has an end: text, fields and functions in
// {{…}}. No loops, no variables, no definitions; every value has a bound. What else is in one is refused.

// maxTag bounds a tag, and every value on the way to it.
const maxTag = 4 << 10

// shorten is how much of an id is shown.
const shorten = 12

// expand makes a tag of a template.
func expand(template string, i Info) (string, error) {
	var out strings.Builder
	trim := false
	for {
		text, rest, found := strings.Cut(template, "{{")
		if trim {
			text = strings.TrimLeft(text, " \t\r\n")
		}
		if strings.HasPrefix(rest, "- ") {
			text, rest = strings.TrimRight(text, " \t\r\n"), rest[1:]
		}
		out.WriteString(text)
		if !found {
			break
		}
		action, after, closed := cutAction(rest)
		if !closed {
			return "", errors.New("{{ without }}")
		}
		if trim = strings.HasSuffix(action, " -"); trim {
			action = action[:len(action)-1]
		}
		v, err := evaluate(action, i)
		if err != nil {
			return "", fmt.Errorf("{{%.100s}}: %w", action, err)
		}
		out.WriteString(v)
		template = after
	}
	if out.Len() > maxTag {
		return "", errTooLong
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return '_' // the end of a line would begin another message
		}
		return r
	}, out.String()), nil
}

var errTooLong = fmt.Errorf("a value has more than %d bytes", maxTag)

// cutAction finds the }} that is in no string.
func cutAction(s string) (action, after string, ok bool) {
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote == '"' && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '`'):
			quote = c
		case quote == 0 && strings.HasPrefix(s[i:], "}}"):
			return s[:i], s[i+2:], true
		}
	}
	return "", "", false
}

// evaluate gives the text of one action.
func evaluate(action string, i Info) (string, error) {
	p := &parser{in: action, info: i}
	v, err := p.pipeline(0)
	if err != nil {
		return "", err
	}
	if p.space(); p.in != "" {
		return "", fmt.Errorf("%q is not understood here", p.in)
	}
	s := fmt.Sprint(v)
	if len(s) > maxTag {
		return "", errTooLong
	}
	return s, nil
}

type parser struct {
	in   string
	info Info
}

func (p *parser) space() { p.in = strings.TrimLeft(p.in, " \t\r\n") }

// pipeline is command | command …: each gets the value before it as its last operand.
func (p *parser) pipeline(depth int) (v any, err error) {
	if depth > 16 {
		return nil, errors.New("too many parentheses")
	}
	var before []any
	for {
		if v, err = p.command(before, depth); err != nil {
			return nil, err
		}
		if size(v) > maxTag {
			return nil, errTooLong
		}
		if p.space(); !strings.HasPrefix(p.in, "|") {
			return v, nil
		}
		p.in = p.in[1:]
		before = []any{v}
	}
}

// command is an operand, or a function and its operands.
func (p *parser) command(before []any, depth int) (any, error) {
	p.space()
	name := p.word()
	if name == "" {
		v, ok, err := p.operand(depth)
		if err == nil && (!ok || before != nil) {
			err = errors.New("a field or a function is needed")
		}
		return v, err
	}
	f := functions[name]
	if f == nil {
		return nil, fmt.Errorf("%q: Brig's tags have fields and the functions json, split, join, title, lower, upper, pad, "+
			"truncate, index", name)
	}
	var args []any
	for {
		v, ok, err := p.operand(depth)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		args = append(args, v)
	}
	v, err := f(append(args, before...))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// word takes a name of letters.
func (p *parser) word() string {
	n := 0
	for n < len(p.in) && (p.in[n]|0x20 >= 'a' && p.in[n]|0x20 <= 'z') {
		n++
	}
	w := p.in[:n]
	p.in = p.in[n:]
	return w
}

// operand is a field, a string, a number or a pipeline in parentheses; ok is false when there is none.
func (p *parser) operand(depth int) (v any, ok bool, err error) {
	if p.space(); p.in == "" {
		return nil, false, nil
	}
	switch c := p.in[0]; {
	case c == '.':
		p.in = p.in[1:]
		v, err = p.info.field(p.word())
		return v, true, err
	case c == '"' || c == '`':
		quoted, err := strconv.QuotedPrefix(p.in)
		if err != nil {
			return nil, false, errors.New("a string without an end")
		}
		p.in = p.in[len(quoted):]
		v, err = strconv.Unquote(quoted)
		return v, true, err
	case c >= '0' && c <= '9':
		n := len(p.in) - len(strings.TrimLeft(p.in, "0123456789"))
		v, err = strconv.Atoi(p.in[:n])
		p.in = p.in[n:]
		return v, true, err
	case c == '(':
		p.in = p.in[1:]
		if v, err = p.pipeline(depth + 1); err != nil {
			return nil, false, err
		}
		if p.space(); !strings.HasPrefix(p.in, ")") {
			return nil, false, errors.New("( without )")
		}
		p.in = p.in[1:]
		return v, true, nil
	}
	return nil, false, nil
}

// field gives what Docker's templates call by this name.
func (i Info) field(name string) (any, error) {
	short := func(id string) string {
		_, hex, found := strings.Cut(id, ":")
		if !found {
			hex = id
		}
		return hex[:min(len(hex), shorten)]
	}
	switch name {
	case "ID":
		return short(i.ID), nil
	case "FullID", "ContainerID":
		return i.ID, nil
	case "Name":
		return i.Name, nil
	case "ContainerName":
		return "/" + i.Name, nil
	case "Command":
		return strings.Join(append([]string{i.Entrypoint}, i.Args...), " "), nil
	case "ContainerEntrypoint":
		return i.Entrypoint, nil
	case "ContainerArgs":
		return i.Args, nil
	case "ImageID":
		return short(i.ImageID), nil
	case "ImageFullID", "ContainerImageID":
		return i.ImageID, nil
	case "ImageName", "ContainerImageName":
		return i.Image, nil
	case "ContainerCreated":
		return i.Created.String(), nil
	case "ContainerEnv":
		return i.Env, nil
	case "ContainerLabels":
		return i.Labels, nil
	case "Config":
		return i.Config, nil
	case "DaemonName":
		return "docker", nil // what Docker's own says; receivers look for it
	case "Hostname":
		return os.Hostname()
	}
	return nil, fmt.Errorf(".%s: there is no such field", name)
}
