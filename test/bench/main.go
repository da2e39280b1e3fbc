package main

import (
	"context"
	"errors"
	"flag"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// options are the command line.
type options struct {
	room.Stage
	rounds, idle, large int
	scale, churn        int
	lasts               time.Duration
}

// crowds tells that what is asked for is the last part of the page.
func (o *options) crowds() bool { return o.scale > 0 || o.churn > 0 }

func main() {
	room.Main()
	var o options
	o.Flags("docs/performance.md")
	flag.IntVar(&o.rounds, "rounds", 25, "how often each command line is timed")
	flag.DurationVar(&o.lasts, "lasts", 2*time.Second, "how long each window of a rate lasts")
	flag.IntVar(&o.idle, "idle", 200, "idle containers when memory is measured; 0 leaves memory out")
	flag.IntVar(&o.large, "large", 400, "size of the large image in MB; 0 leaves it out")
	flag.IntVar(&o.scale, "scale", 0, "measure nothing but so many running containers (peers: a tenth), and -churn")
	flag.IntVar(&o.churn, "churn", 0, "measure nothing but so many started and removed (peers: a fiftieth), and -scale")
	flag.Parse()
	room.Play("bench", o.run)
}

func (o *options) run(ctx context.Context) (err error) {
	if o.rounds < 1 || min(o.idle, o.large, o.scale, o.churn) < 0 || o.lasts <= 0 {
		return errors.New("-rounds and -lasts must be positive, -idle, -large, -scale and -churn not negative")
	}
	if o.crowds() {
		o.large = 0
	}
	strike, err := o.Set(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, strike()) }()
	s, err := newSession(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.measure(ctx); err != nil {
		return err
	}
	page, err := s.report().page(o.Write, o.crowds())
	if err != nil {
		return err
	}
	return o.Publish(page)
}
