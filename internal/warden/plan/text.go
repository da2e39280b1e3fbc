package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// String prints the plan: one line for each system call, or for a run of calls that differ in one number, with what it
// needs and why it is there.
func (p *Plan) String() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s\n", p.Title)
	n, why := 0, ""
	for i := 0; i < len(p.Ops); {
		op := p.Ops[i]
		switch {
		case op.Stage != "":
			fmt.Fprintf(&w, "\n%s\n", op.Stage)
			i++
		case op.Label != "":
			fmt.Fprintf(&w, "       %s:\n", op.Label)
			i++
		default:
			if op.Why != "" && op.Why != why {
				fmt.Fprintf(&w, "       # %s\n", op.Why)
			}
			why = op.Why
			run, arg := p.run(i)
			number := strconv.Itoa(n + 1)
			if run > 1 {
				number += "–" + strconv.Itoa(n+run)
			}
			fmt.Fprintf(&w, "%6s %s\n", number, line(p.Ops[i:i+run], arg))
			i, n = i+run, n+run
		}
	}
	return w.String()
}

// run counts the operations from i on that are the same but for one numeric argument, and tells which.
func (p *Plan) run(i int) (count, arg int) {
	first := p.Ops[i]
	arg = -1
	for count = 1; i+count < len(p.Ops); count++ {
		op := p.Ops[i+count]
		if op.Call != first.Call || op.Why != first.Why || len(op.Args) != len(first.Args) ||
			op.Out+op.Then+first.Out+first.Then != "" || len(op.On)+len(first.On) > 0 {
			break
		}
		differs := -1
		for k := range op.Args {
			if op.Args[k].String() == first.Args[k].String() {
				continue
			}
			if _, err := strconv.Atoi(op.Args[k].String()); err != nil || differs >= 0 {
				return count, arg
			}
			differs = k
		}
		if differs < 0 || arg >= 0 && differs != arg {
			break
		}
		arg = differs
	}
	return count, arg
}

// line is a run of operations; argument arg is the one that differs.
func line(ops []*Op, arg int) string {
	op := ops[0]
	var w strings.Builder
	if op.Out != "" {
		fmt.Fprintf(&w, "%s = ", op.Out)
	}
	w.WriteString(op.Call + "(")
	for i, a := range op.Args {
		if i > 0 {
			w.WriteString(", ")
		}
		if i == arg {
			w.WriteString(ranges(ops, arg))
		} else {
			w.WriteString(a.String())
		}
	}
	w.WriteString(")")
	if op.Then != "" {
		fmt.Fprintf(&w, "  then → %s", op.Then)
	}
	for _, t := range op.On {
		to := t.To
		if to == "" {
			to = "go on"
		}
		fmt.Fprintf(&w, "  %s → %s", errnoName(t.Errno), to)
	}
	return w.String()
}

// ranges writes the values of the differing argument, as in "1–8 10–18".
func ranges(ops []*Op, arg int) string {
	var parts []string
	for i := 0; i < len(ops); {
		k := i
		for k+1 < len(ops) && ops[k+1].Args[arg].value == ops[k].Args[arg].value+1 {
			k++
		}
		part := ops[i].Args[arg].String()
		if k > i {
			part += "–" + ops[k].Args[arg].String()
		}
		parts = append(parts, part)
		i = k + 1
	}
	return strings.Join(parts, " ")
}
