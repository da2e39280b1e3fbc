package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/test/room"
)

const (
	// slack is how much longer than ever before a fixed piece of work may take on a quiet machine. A virtual processor whose
	// core somebody else's uses as well takes 1.6 times as long, for seconds or minutes, and no figure of the guest shows it.
	slack = 1.25
	// getToKnow is how long a machine is watched first, to see how fast it is when it is quiet.
	getToKnow = 5 * time.Second
	patience  = 15 * time.Minute // of all waiting in one run
	retakes   = 10
	looks     = 5 // one of which must find it quiet: what an engine still does after a command line is over soon
)

// stillness tells whether the machine is quiet, by the only thing that it can be told by: how long work takes.
type stillness struct {
	work     func() time.Duration // a fixed piece of it, on every processor at once
	pause    time.Duration        // between two
	best     time.Duration
	left     time.Duration // of patience
	again    int           // measurements that were taken again
	omitted  int           // that were left out
	restless int           // that were kept although the machine was not quiet
}

func newStillness() *stillness {
	return &stillness{work: everywhere, pause: 20 * time.Millisecond, left: patience}
}

// everywhere does the same work on each processor and returns what the slowest took.
func everywhere() time.Duration {
	took := make([]time.Duration, runtime.NumCPU())
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its place
			var one unix.CPUSet
			one.Set(i)
			_ = unix.SchedSetaffinity(0, &one) // where that is refused, the kernel spreads them
			took[i] = arithmetic()
		})
	}
	all.Wait()
	return slices.Max(took)
}

// arithmetic is about 0.15 ms of it, of several independent chains: one would leave half of a core to somebody else and not
// notice. The better of two, since a thread that is interrupted says nothing.
func arithmetic() time.Duration {
	best := time.Hour
	for range 2 {
		start := time.Now()
		a, b, c, d, e, f := uint64(1), uint64(2), uint64(3), uint64(4), uint64(5), uint64(6)
		for i := range uint64(200_000) {
			a, c, e = a+i*3, c+i<<2, e+d>>3
			b, d, f = b^(a+i), d^(i*7), f^(i+5)
		}
		took := time.Since(start)
		if result.Store(a + b + c + d + e + f); took < best {
			best = took
		}
	}
	return best
}

// result is where the compiler cannot leave the work out.
var result atomic.Uint64

// quiet works and compares.
func (s *stillness) quiet() bool {
	for look := range looks {
		if look > 0 {
			time.Sleep(s.pause)
		}
		took := s.work()
		if s.best == 0 || took < s.best {
			s.best = took
		}
		if float64(took) <= slack*float64(s.best) {
			return true
		}
	}
	return false
}

// watch gets to know the machine.
func (s *stillness) watch(ctx context.Context, long time.Duration) {
	for end := time.Now().Add(long); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(s.pause) {
		s.quiet()
	}
}

// wait returns when the machine is quiet, or when there was enough waiting.
func (s *stillness) wait(ctx context.Context) {
	for start := time.Now(); s.left > 0 && ctx.Err() == nil && !s.quiet(); start = time.Now() {
		if s.left == patience {
			room.Note("the machine is busy with something else, waiting")
		}
		s.left -= time.Since(start)
	}
}

// measure takes a measurement in a quiet moment: one during which the machine ceased to be quiet is taken again.
func (s *stillness) measure(ctx context.Context, take func() (time.Duration, error)) (took time.Duration, err error) {
	for try := 0; ; try++ {
		s.wait(ctx)
		if took, err = take(); err != nil || s.quiet() {
			return took, err
		}
		if try == retakes || s.left <= 0 || ctx.Err() != nil {
			s.restless++
			return took, nil
		}
		s.again++
	}
}

// undisturbed leaves out what was measured while the machine ceased to be quiet, if at least a quarter is left then: starts of
// containers cannot be taken again.
func (s *stillness) undisturbed(quiet, all sample) sample {
	if len(quiet) < len(all)/4 {
		s.restless += len(all) - len(quiet)
		return all
	}
	s.omitted += len(all) - len(quiet)
	return quiet
}

// String is a sentence of the page.
func (s *stillness) String() string {
	return fmt.Sprintf("Measured when the machine was quiet: because it was not, %d measurements were taken again and %d left out; "+
		"%d\nstand although it was not.\n", s.again, s.omitted, s.restless)
}
