package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// session is one run: the engines that are there, each in its room.
type session struct {
	o      *options
	dir    string
	peers  room.Peers
	images *images
	list   []*contender
	fsync  sample
	gunzip sample
	still  *stillness
}

// contender is an engine that takes part, with what was measured of it. A failure is kept and shown, and ends its part.
type contender struct {
	engine
	file    string // of its program
	version string
	dir     string
	room    *room.Room
	failure string // why it takes part no longer
	client  string // version of the command line that it is asked with, if that is another program

	once, detach, exec sample
	rates              map[int]rates // by workers
	idle               *idleCost     // nil: not measured
	load               sample        // large image: load to the end of the first run
	crowd              *crowd        // nil: not measured
	churn              []churnPoint
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

func newSession(o *options) (*session, error) {
	s := &session{o: o, dir: o.Dir, peers: o.Peers, still: newStillness()}
	for _, e := range engines(o.Bin, filepath.Base(s.dir)) {
		if !o.Wanted(e.Name) {
			continue
		}
		c := &contender{engine: e, dir: filepath.Join(s.dir, fmt.Sprint(len(s.list))), rates: map[int]rates{}}
		s.list = append(s.list, c)
		if !e.Bare {
			var err error
			if c.file, err = e.Find(s.peers); err != nil {
				c.failure = err.Error()
			}
		}
	}
	var err error
	s.images, err = makeImages(filepath.Join(s.dir, "images"), o.large)
	return s, err
}

// measure opens the rooms and takes all measurements. An engine that fails drops out; only an interruption is an error.
func (s *session) measure(ctx context.Context) error {
	for _, c := range s.list {
		if c.failure == "" && ctx.Err() == nil {
			room.Note("opening %s", c.Name)
			if err := c.open(ctx, s); ctx.Err() == nil {
				c.drop(err)
			}
		}
	}
	s.still.watch(ctx, getToKnow)
	for _, step := range s.steps() {
		if ctx.Err() == nil {
			room.Note("measuring %s", step.name)
			step.do(ctx)
		}
	}
	return ctx.Err()
}

type step struct {
	name string
	do   func(context.Context)
}

// steps are those of a page, or of its last part alone.
func (s *session) steps() []step {
	if s.o.crowds() {
		return []step{{"many containers at once", s.measureCrowd}, {"many one after the other", s.measureChurn}}
	}
	return []step{
		{"command line to exit", s.measureOnce}, {"detached starts and exec", s.measureDetached},
		{"starts per second", s.measureRates}, {"memory of idle containers", s.measureIdle},
		{"the large image", s.measureLarge},
	}
}

// close ends all rooms, with all that is in them, and removes the control groups that are left of those that could not
// stop: after an interruption none can.
func (s *session) close() error {
	groups := []string{filepath.Base(s.dir)}
	for _, c := range s.list {
		c.close()
		if len(c.Open) > 0 {
			groups = append(groups, room.BrigInstance(room.BrigRoot(c.dir)))
		}
	}
	return room.SweepCgroups(groups...)
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
	if c.Bundle || c.Bare {
		if err := makeBundles(c.dir, s.images.busybox); err != nil {
			return err
		}
	}
	p := room.Plan{Dir: c.dir, Cgroup: filepath.Base(s.dir)}
	if c.room, err = c.OpenRoom(ctx, s.peers, p); err != nil {
		return err
	}
	if err := c.askVersions(); err != nil {
		return err
	}
	err = c.Serve(c.room, c.dir)
	if err == nil && len(c.Load) > 0 {
		_, err = c.run(c.Load, s.images.small, "")
	}
	if err == nil { // the first start fills caches, and shows whether there is anything to measure
		_, err = c.run(c.Once, "", smallImage)
	}
	return err
}

// askVersions says what is compared: the engine, and the command line that it is asked with if that is another program.
func (c *contender) askVersions() (err error) {
	if !c.Bare {
		c.version, err = c.Version(c.room, c.file)
	}
	if err == nil && slices.Contains(c.Needs, "docker") {
		c.client, err = c.room.Version("docker")
	}
	return err
}

// run runs one command line and says how long it took. A single container is named by the time, to be new.
func (c *contender) run(words []string, archive, image string) (time.Duration, error) {
	prefix := fmt.Sprintf("t%d-", time.Now().UnixNano())
	a, err := c.room.Do(room.Job{Op: room.OpTime, Command: fill(words, c.dir, archive, image), Prefix: prefix})
	return a.Took, err
}

// drop ends a contender's part because of an error.
func (c *contender) drop(err error) {
	if err != nil {
		room.Note("%s drops out: %v", c.Name, err)
		// Where things were on this machine says nothing to a reader.
		hide := strings.NewReplacer(c.dir, "DIR", filepath.Dir(c.dir), "TMP", c.Program, filepath.Base(c.Program))
		c.failure = hide.Replace(room.FirstLine(err.Error()))
	}
}

func (c *contender) close() {
	if c.room == nil {
		return
	}
	c.End(c.room)
	c.room.Close()
	c.room = nil
}
