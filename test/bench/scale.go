package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// crowd is what an engine does with many containers at once.
type crowd struct {
	all     int
	points  []crowdPoint
	stopped time.Duration // one command line with all names
	removed time.Duration
	back    time.Duration // from the end of a program of the engine to the list of all that run; 0: not measured
	calls   string        // that program
}

// crowdPoint is one moment while they are started, one after the other.
type crowdPoint struct {
	running            int
	start              sample // of the last starts
	names, stats, logs time.Duration
	exec               time.Duration
	memory             room.Memory
}

// churnPoint is one moment of starting and removing containers over and over.
type churnPoint struct {
	started int
	rate    float64 // starts per second since the point before
	memory  room.Memory
}

const (
	lastStarts   = 100 // whose median a point has
	peersPart    = 10  // peers get this part of what Brig gets, and churnPart of what is started and removed: of more there
	churnPart    = 50  // would be no end
	churnWorkers = 8
	churnPoints  = 5
)

// share is how many of n an engine gets: a peer one of part.
func (c *contender) share(n, part int) int {
	if c.Back != "" {
		return n
	}
	return n / part
}

func (s *session) measureCrowd(ctx context.Context) {
	if s.o.scale == 0 {
		return
	}
	s.rounds(ctx, 1, func(c *contender) []string { return c.Many }, func(c *contender) error {
		c.crowd = &crowd{all: c.share(s.o.scale, peersPart)}
		return c.gather(ctx, s.still)
	})
}

// gather starts all containers, looks at three moments, then lets a program of the engine die, and ends all.
func (c *contender) gather(ctx context.Context, still *stillness) error {
	n := c.crowd.all
	looked := []int{max(n/10, 1), n / 2, n}
	var quiet, all sample // the last starts before a look: those that nothing disturbed, and all
	for i := 1; i <= n; i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		counts := slices.ContainsFunc(looked, func(at int) bool { return at-lastStarts < i && i <= at })
		if counts {
			still.wait(ctx)
		}
		took, err := c.ask1(c.Many, fmt.Sprintf("c%d-", i))
		if err != nil {
			return err
		}
		if counts {
			all = append(all, took)
			if still.quiet() {
				quiet = append(quiet, took)
			}
		}
		if slices.Contains(looked, i) {
			if err := c.look(ctx, still, i, still.undisturbed(quiet, all)); err != nil {
				return err
			}
			quiet, all = nil, nil
		}
	}
	if c.Back != "" {
		a, err := c.room.Do(room.Job{Op: room.OpEnd, Program: c.Back, Command: fill(c.Names, c.dir, "", smallImage), Count: n})
		if err != nil {
			return err
		}
		c.crowd.back, c.crowd.calls = a.Took, c.Back
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("c%d-1", i+1)
	}
	var err error
	if c.crowd.stopped, err = c.ask1(append(slices.Clip(c.Stop), names...), ""); err != nil {
		return err
	}
	c.crowd.removed, err = c.ask1(append(slices.Clip(c.Clear), names...), "")
	return err
}

// look takes the measurements of one moment.
func (c *contender) look(ctx context.Context, still *stillness, running int, starts sample) (err error) {
	p := crowdPoint{running: running, start: starts}
	if p.memory, err = c.memory(); err != nil {
		return err
	}
	if p.memory.Programs != running {
		return fmt.Errorf("%d containers were started, %d programs are there", running, p.memory.Programs)
	}
	for _, q := range []struct {
		took  *time.Duration
		words []string
	}{{&p.names, c.Names}, {&p.stats, c.Stats}, {&p.logs, c.Logs}, {&p.exec, c.Exec}} {
		var asked sample
		for range 5 {
			took, err := still.measure(ctx, func() (time.Duration, error) { return c.ask1(q.words, "c1-") })
			if err != nil {
				return err
			}
			asked = append(asked, took)
		}
		*q.took = asked.median()
	}
	c.crowd.points = append(c.crowd.points, p)
	return nil
}

// ask1 times one command line; {id} in it is prefix and 1.
func (c *contender) ask1(words []string, prefix string) (time.Duration, error) {
	a, err := c.room.Do(room.Job{Op: room.OpTime, Command: fill(words, c.dir, "", smallImage), Prefix: prefix})
	return a.Took, err
}

// measureChurn starts and removes containers, and looks whether anything grows.
func (s *session) measureChurn(ctx context.Context) {
	if s.o.churn == 0 {
		return
	}
	once := func(c *contender) []string {
		if c.Many == nil {
			return nil
		}
		return c.Once
	}
	s.rounds(ctx, 1, once, func(c *contender) error {
		part := c.share(s.o.churn, churnPart) / churnPoints
		for i := range churnPoints + 1 {
			p := churnPoint{started: i * part}
			if i > 0 {
				a, err := c.room.Do(room.Job{Op: room.OpMany, Command: fill(c.Once, c.dir, "", smallImage),
					Prefix: fmt.Sprintf("churn%d-", i), Workers: churnWorkers, Count: part})
				if err != nil {
					return err
				}
				p.rate = float64(a.Count) / a.Took.Seconds()
			}
			var err error
			if p.memory, err = c.memory(); err != nil {
				return err
			}
			if c.churn = append(c.churn, p); ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
}
