package explain

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Step is one line of a plan: a system call, or a run of calls that differ in one number; a heading (Stage alone), or a place
// to jump to (Label alone).
type Step struct {
	Stage       string   `json:",omitempty"`
	Label       string   `json:",omitempty"`
	First, Last int      `json:",omitempty"`
	Call        string   `json:",omitempty"`
	Why         string   `json:",omitempty"` // where it is another reason than that of the step before
	Answers     []string `json:",omitempty"` // ids of attacks
}

// Steps are the lines of a plan.
func Steps(p *Plan) []Step {
	steps := []Step{}
	n, said := 0, ""
	for i := 0; i < len(p.Ops); {
		op := p.Ops[i]
		if op.Stage != "" || op.Label != "" {
			steps = append(steps, Step{Stage: op.Stage, Label: op.Label})
			i++
			continue
		}
		run, arg := repeats(p.Ops[i:])
		s := Step{First: n + 1, Last: n + run, Call: line(p.Ops[i:i+run], arg)}
		if r := why(op); r.why != "" && r.why != said {
			s.Why, s.Answers, said = r.why, strings.Fields(r.answers), r.why
		}
		steps = append(steps, s)
		i, n = i+run, n+run
	}
	return steps
}

// Text prints a plan.
func Text(p *Plan) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s\n", p.Title)
	for _, s := range Steps(p) {
		switch {
		case s.Stage != "":
			fmt.Fprintf(&w, "\n%s\n", s.Stage)
			continue
		case s.Label != "":
			fmt.Fprintf(&w, "       %s:\n", s.Label)
			continue
		case s.Why != "" && len(s.Answers) > 0:
			fmt.Fprintf(&w, "       # %s [%s]\n", s.Why, strings.Join(s.Answers, " "))
		case s.Why != "":
			fmt.Fprintf(&w, "       # %s\n", s.Why)
		}
		number := strconv.Itoa(s.First)
		if s.Last > s.First {
			number += "–" + strconv.Itoa(s.Last)
		}
		fmt.Fprintf(&w, "%6s %s\n", number, s.Call)
	}
	return w.String()
}

// repeats counts the operations that are the same as the first but for one numeric argument, and tells which.
func repeats(ops []*Op) (count, arg int) {
	first := ops[0]
	arg = -1
	for count = 1; count < len(ops); count++ {
		op := ops[count]
		if op.Nr != first.Nr || op.Kind != first.Kind || op.What != first.What || len(op.Args) != len(first.Args) ||
			op.Out+first.Out != "" || op.Then+first.Then != "" || len(op.On)+len(first.On) > 0 || op.What == "" {
			break
		}
		differs := -1
		for k := range op.Args {
			if argument(op, k) == argument(first, k) {
				continue
			}
			_, number := op.Args[k].(int)
			_, also := first.Args[k].(int)
			if _, err := strconv.Atoi(argument(op, k)); err != nil || !number || !also || differs >= 0 {
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
	w.WriteString(callOf(op).name + "(")
	for i := range op.Args {
		if i > 0 {
			w.WriteString(", ")
		}
		if i == arg {
			w.WriteString(ranges(ops, arg))
		} else {
			w.WriteString(argument(op, i))
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
		fmt.Fprintf(&w, "  %s → %s", unix.ErrnoName(t.Errno), to)
	}
	return w.String()
}

// ranges writes the values of the differing argument, as in "1–8 10–18".
func ranges(ops []*Op, arg int) string {
	var parts []string
	for i := 0; i < len(ops); {
		k := i
		for k+1 < len(ops) && ops[k+1].Args[arg].(int) == ops[k].Args[arg].(int)+1 {
			k++
		}
		part := argument(ops[i], arg)
		if k > i {
			part += "–" + argument(ops[k], arg)
		}
		parts = append(parts, part)
		i = k + 1
	}
	return strings.Join(parts, " ")
}
