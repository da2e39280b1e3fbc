package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// workers are the numbers of starts at a time whose rates are measured, each this often.
var workers = []int{1, 2, 4, 8}

const windows = 3

const (
	idleWorkers = 4               // start and remove idle containers
	settle      = 3 * time.Second // before memory is read: caches that empty by themselves do so
	largeRounds = 3
)

// rounds has the contenders take turns. ask measures once; its error drops the contender out.
func (s *session) rounds(ctx context.Context, n int, words func(*contender) []string, ask func(*contender) error) {
	for range n {
		for _, c := range s.taking(ctx, words) {
			if err := ask(c); err != nil && ctx.Err() == nil {
				c.drop(err)
			}
		}
	}
}

func (s *session) measureOnce(ctx context.Context) {
	once := func(c *contender) []string { return c.Once }
	s.rounds(ctx, s.o.rounds, once, func(c *contender) error {
		took, err := s.still.measure(ctx, func() (time.Duration, error) { return c.run(c.Once, "", smallImage) })
		if err == nil {
			c.once = append(c.once, took)
		}
		return err
	})
}

// measureDetached starts one container per round, executes true in it, and removes it, which is not timed. The start
// is compared with one fsync of a small file, since a container that outlives its command line is recorded on disk.
func (s *session) measureDetached(ctx context.Context) {
	n := 0
	idle := func(c *contender) []string { return c.Idle }
	s.rounds(ctx, s.o.rounds, idle, func(c *contender) error {
		ask := func(words []string) (time.Duration, error) { return c.ask1(words, fmt.Sprintf("d%d-", n)) }
		started := 0
		took, err := s.still.measure(ctx, func() (time.Duration, error) {
			if started++; started > 1 {
				if _, err := ask(c.Remove); err != nil {
					return 0, err
				}
			}
			n++
			return ask(c.Idle)
		})
		if err != nil {
			return err
		}
		c.detach = append(c.detach, took)
		if took, err = s.still.measure(ctx, func() (time.Duration, error) { return ask(c.Exec) }); err != nil {
			return err
		}
		c.exec = append(c.exec, took)
		if took, err = timeFsync(s.dir); err != nil {
			return err
		}
		s.fsync = append(s.fsync, took)
		_, err = ask(c.Remove)
		return err
	})
}

// timeFsync is how long this disk takes to make 4 KiB durable.
func timeFsync(dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		return 0, err
	}
	start := time.Now()
	err = f.Sync()
	return time.Since(start), err
}

func (s *session) measureRates(ctx context.Context) {
	started := func(c *contender) []string {
		if c.Bare {
			return nil
		}
		return c.Once
	}
	n := 0
	for _, w := range workers {
		s.rounds(ctx, windows, started, func(c *contender) error {
			var a room.Answer
			_, err := s.still.measure(ctx, func() (_ time.Duration, err error) {
				n++
				a, err = c.room.Do(room.Job{Op: room.OpMany, Command: fill(c.Once, c.dir, "", smallImage),
					Prefix: fmt.Sprintf("w%d-", n), Workers: w, Lasts: s.o.lasts})
				return a.Took, err
			})
			if err == nil {
				c.rates[w] = append(c.rates[w], float64(a.Count)/a.Took.Seconds())
			}
			return err
		})
	}
}

// measureIdle reads memory without and with idle containers, one engine after the other: at the same time they would
// be in each other's machine figures.
func (s *session) measureIdle(ctx context.Context) {
	if s.o.idle == 0 {
		return
	}
	idle := func(c *contender) []string { return c.Idle }
	s.rounds(ctx, 1, idle, func(c *contender) error {
		before, err := c.memory()
		if err != nil {
			return err
		}
		if err := c.many(c.Idle, s.o.idle); err != nil {
			return err
		}
		with, err := c.memory()
		if err != nil {
			return err
		}
		if got := with.Programs - before.Programs; got != s.o.idle {
			return fmt.Errorf("%d idle containers were started, %d programs are there", s.o.idle, got)
		}
		n := float64(s.o.idle)
		c.idle = &idleCost{
			pss: float64(with.PSS-before.PSS) / n, private: float64(with.Private-before.Private) / n,
			machine: float64(before.Available-with.Available) / n, processes: with.Processes,
		}
		return c.many(c.Remove, s.o.idle)
	})
}

func (c *contender) many(words []string, count int) error {
	_, err := c.room.Do(room.Job{Op: room.OpMany, Command: fill(words, c.dir, "", smallImage), Prefix: "i",
		Workers: idleWorkers, Count: count})
	return err
}

func (c *contender) memory() (room.Memory, error) {
	time.Sleep(settle)
	a, err := c.room.Do(room.Job{Op: room.OpMemory})
	return a.Memory, err
}

// measureLarge times loading an archive and the first run from it, then forgets the image.
func (s *session) measureLarge(ctx context.Context) {
	if s.o.large == 0 {
		return
	}
	load := func(c *contender) []string { return c.Load }
	for range largeRounds {
		took, err := s.still.measure(ctx, func() (time.Duration, error) { return timeGunzip(s.images.largeLayer) })
		if err == nil {
			s.gunzip = append(s.gunzip, took)
		}
		s.rounds(ctx, 1, load, func(c *contender) error {
			took, err := s.still.measure(ctx, func() (time.Duration, error) { return c.loadAndRun(s.images.large) })
			if err == nil {
				c.load = append(c.load, took)
			}
			return err
		})
	}
}

func (c *contender) loadAndRun(archive string) (time.Duration, error) {
	loading, err := c.run(c.Load, archive, "")
	if err != nil {
		return 0, err
	}
	running, err := c.run(c.Once, "", largeImage)
	if err != nil {
		return 0, err
	}
	_, err = c.run(c.Unload, "", largeImage)
	return loading + running, err
}
