package main

import "fmt"

type report struct{ s *session }

func (s *session) report() *report { return &report{s} }
func (r *report) markdown() string {
	out := ""
	for _, c := range r.s.list {
		out += fmt.Sprintln(c.Name, c.version, c.failure, "once", c.once.median(), c.once.min(), c.once.quantile(.9), "detach", c.detach.median(), "exec", c.exec.median(), c.rates, c.perIdle, c.private, c.machine, c.processes, "load", c.load.median())
	}
	return out
}
