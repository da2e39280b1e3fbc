package text

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/warden/plan"
)

// Plan prints a plan: one line for each system call, or for a run of calls that differ in one number, with what it
// needs and why it is there.
func Plan(p *plan.Plan) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s\n", p.Title)
	n, said := 0, ""
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
			if say := why(op); say != "" && say != said {
				fmt.Fprintf(&w, "       # %s\n", say)
				said = say
			}
			run, arg := repeats(p.Ops[i:])
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

// repeats counts the operations that are the same as the first but for one numeric argument, and tells which.
func repeats(ops []*plan.Op) (count, arg int) {
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
			if _, err := strconv.Atoi(argument(op, k)); err != nil || differs >= 0 {
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
func line(ops []*plan.Op, arg int) string {
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
func ranges(ops []*plan.Op, arg int) string {
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
