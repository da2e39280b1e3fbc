package show

import (
	"fmt"
	"io"
	"slices"
	"text/template/parse"
)

// Object is One for an object that was decoded from JSON. A field of the object itself that neither it has nor optional
// names is an error, as it is in Docker: a script with a mistake must not go on with "<no value>".
func Object(w io.Writer, format string, v any, optional []string) error {
	m, ok := v.(map[string]any)
	if !ok || format == "json" {
		return One(w, format, v)
	}
	t, err := parseFormat(format)
	if err != nil {
		return err
	}
	for _, name := range fields(t.Root) {
		if _, there := m[name]; !there && !slices.Contains(optional, name) {
			return fmt.Errorf("--format: the object has no field .%s", name)
		}
	}
	return execute(w, t, v)
}

// fields names the fields of the dot that a template begins with. What is inside of range and with has another dot.
func fields(n parse.Node) []string {
	var out []string
	add := func(nodes ...parse.Node) {
		for _, n := range nodes {
			out = append(out, fields(n)...)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			add(n.Nodes...)
		}
	case *parse.ActionNode:
		add(n.Pipe)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			add(c.Args...)
		}
	case *parse.FieldNode:
		return n.Ident[:1]
	case *parse.ChainNode:
		add(n.Node)
	case *parse.IfNode:
		add(n.Pipe, n.List, n.ElseList)
	case *parse.RangeNode:
		add(n.Pipe, n.ElseList)
	case *parse.WithNode:
		add(n.Pipe, n.ElseList)
	}
	return out
}
