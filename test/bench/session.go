package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// session is one run: the engines that are there, each in its room.
type session struct {
	o      *options
	dir    string
	peers  dirs
	images *images
	list   []*contender
	fsync  sample
	gunzip sample
}

// contender is an engine that takes part, with what was measured of it. A failure is kept and shown, and ends its part.
type contender struct {
	engine
	version string
	dir     string
	room    *room
	failure string // why it takes part no longer
	client  string // version of the command line that it is asked with, if that is another program

	once, detach, exec sample
	rates              map[int]rates // by workers
	idle               *idleCost     // nil: not measured
	load               sample        // large image: load to the end of the first run
}

// idleCost is in KB per idle container, and what one costs who supervises it.
type idleCost struct {
	pss, private float64 // the engine's processes
	machine      float64 // everything: programs and kernel too
	processes    int     // of the engine, in all
}

const (
	smallImage = "localhost/brig-bench:small"
	largeImage = "localhost/brig-bench:large"
)

func newSession(dir, bin string, peers dirs, o *options) (*session, error) {
	s := &session{o: o, dir: dir, peers: peers}
	for _, e := range engines(bin, filepath.Base(dir)) {
		if !o.wanted(e.Name) {
			continue
		}
		c := &contender{engine: e, dir: filepath.Join(dir, fmt.Sprint(len(s.list))), rates: map[int]rates{}}
		s.list = append(s.list, c)
		file, err := e.find(peers)
		if err != nil {
			c.failure = err.Error()
		} else if file != "" {
			c.version = builtVersion(file)
		}
	}
	var err error
	s.images, err = makeImages(filepath.Join(dir, "images"), o.large)
	return s, err
}

// measure opens the rooms and takes all measurements. An engine that fails drops out; only an interruption is an error.
func (s *session) measure(ctx context.Context) error {
	for _, c := range s.list {
		if c.failure == "" && ctx.Err() == nil {
			note("opening %s", c.Name)
			if err := c.open(ctx, s); ctx.Err() == nil {
				c.drop(err)
			}
		}
	}
	steps := []struct {
		name string
		do   func(context.Context)
	}{
		{"command line to exit", s.measureOnce}, {"detached starts and exec", s.measureDetached},
		{"starts per second", s.measureRates}, {"memory of idle containers", s.measureIdle},
		{"the large image", s.measureLarge},
	}
	for _, step := range steps {
		if ctx.Err() == nil {
			note("measuring %s", step.name)
			step.do(ctx)
		}
	}
	return ctx.Err()
}

// close ends all rooms, with all that is in them, and removes the control groups that are left of those that could not
// stop: after an interruption none can.
func (s *session) close() error {
	groups := []string{filepath.Base(s.dir)}
	for _, c := range s.list {
		c.close()
		if len(c.Open) > 0 {
			groups = append(groups, brigInstance(brigRoot(c.dir)))
		}
	}
	return sweepCgroups(groups...)
}

// taking lists who still takes part and can be asked with this command line.
func (s *session) taking(ctx context.Context, words func(*contender) []string) []*contender {
	var in []*contender
	for _, c := range s.list {
		if ctx.Err() == nil && c.room != nil && c.failure == "" && len(words(c)) > 0 {
			in = append(in, c)
		}
	}
	return in
}

func (c *contender) open(ctx context.Context, s *session) (err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	p := plan{Dir: c.dir, Plain: c.Plain, Cgroup: filepath.Base(s.dir)}
	if c.Name != "brig" {
		p.Tree = s.peers.tree()
	}
	if c.Bundle || c.Bare {
		if err := makeBundles(c.dir, s.images.busybox); err != nil {
			return err
		}
	}
	if c.room, err = openRoom(ctx, p, s.peers.path(c.Newest)); err != nil {
		return err
	}
	if err := c.askVersions(); err != nil {
		return err
	}
	if len(c.Daemon) > 0 {
		err = c.serve()
	} else if len(c.Open) > 0 {
		_, err = c.run(c.Open, "", "")
	}
	if err == nil && len(c.Load) > 0 {
		_, err = c.run(c.Load, s.images.small, "")
	}
	if err == nil { // the first start fills caches, and shows whether there is anything to measure
		_, err = c.run(c.Once, "", smallImage)
	}
	return err
}

// askVersions has programs say their versions where the file does not: only in the room do they find their libraries.
func (c *contender) askVersions() error {
	ask := func(program string) (string, error) {
		a, err := c.room.do(job{Op: opTime, Command: []string{program, "--version"}})
		return saidVersion(a.Output), err
	}
	var err error
	if c.version == "" && !c.Bare {
		c.version, err = ask(c.Program)
	}
	if err == nil && slices.Contains(c.Needs, "docker") {
		c.client, err = ask("docker")
	}
	return err
}

// serve starts the daemon and waits until it answers.
func (c *contender) serve() error {
	log := filepath.Join(c.dir, "log")
	if _, err := c.room.do(job{Op: opDaemon, Command: fill(c.Daemon, c.dir, "", ""), Log: log}); err != nil {
		return err
	}
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if _, err = c.run(c.Ready, "", ""); err == nil {
			return nil
		}
	}
	text, _ := os.ReadFile(log)
	return fmt.Errorf("no answer in 30 seconds: %w\n%s", err, text[max(0, len(text)-2000):])
}

// run runs one command line and says how long it took. A single container is named by the time, to be new.
func (c *contender) run(words []string, archive, image string) (time.Duration, error) {
	prefix := fmt.Sprintf("t%d-", time.Now().UnixNano())
	a, err := c.room.do(job{Op: opTime, Command: fill(words, c.dir, archive, image), Prefix: prefix})
	return a.Took, err
}

// drop ends a contender's part because of an error.
func (c *contender) drop(err error) {
	if err != nil {
		note("%s drops out: %v", c.Name, err)
		// Where things were on this machine says nothing to a reader.
		hide := strings.NewReplacer(c.dir, "DIR", filepath.Dir(c.dir), "TMP", c.Program, filepath.Base(c.Program))
		c.failure = hide.Replace(firstLine(err.Error()))
	}
}

func (c *contender) close() {
	if c.room == nil {
		return
	}
	if len(c.Stop) > 0 {
		if _, err := c.run(c.Stop, "", ""); err != nil && !c.room.cut {
			note("%s does not stop: %v", c.Name, err)
		}
	}
	c.room.close()
	c.room = nil
}
