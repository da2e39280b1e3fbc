package main

import (
	"errors"
	"testing"
	"time"
)

// a machine that takes these times for its work, and the last one from then on.
func machine(times ...time.Duration) *stillness {
	return &stillness{best: 100, left: time.Hour, work: func() (took time.Duration) {
		took = times[0]
		if len(times) > 1 {
			times = times[1:]
		}
		return took
	}}
}

func TestAMeasurementIsTakenAgainIfTheMachineWasNotQuiet(t *testing.T) {
	const busy, quiet = 160, 110
	busyLook := []time.Duration{busy, busy, busy, busy, busy}
	after := append(append([]time.Duration{quiet}, busyLook...), quiet)
	tests := []struct {
		name                   string
		times                  []time.Duration
		taken, again, restless int
	}{
		{"quiet", []time.Duration{quiet}, 1, 0, 0},
		{"busy with the end of what was measured", []time.Duration{quiet, busy, busy, quiet}, 1, 0, 0},
		{"busy before", append(busyLook, quiet), 1, 0, 0},
		{"busy after", after, 2, 1, 0},
	}
	for _, test := range tests {
		s, taken := machine(test.times...), 0
		took, err := s.measure(t.Context(), func() (time.Duration, error) {
			taken++
			return time.Duration(taken), nil
		})
		if err != nil || took != time.Duration(taken) || taken != test.taken || s.again != test.again || s.restless != test.restless {
			t.Errorf("%s: %d taken, %v of them counts (%v), %d again, %d restless", test.name, taken, took, err, s.again, s.restless)
		}
	}
}

func TestThePatienceOfARunEnds(t *testing.T) {
	s := machine(200)
	s.left = time.Millisecond
	for range 3 {
		if _, err := s.measure(t.Context(), func() (time.Duration, error) { return 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if s.restless != 3 || s.again != 0 || s.left > 0 {
		t.Errorf("%d restless, %d again, %v left", s.restless, s.again, s.left)
	}
	failed := errors.New("failed")
	if _, err := s.measure(t.Context(), func() (time.Duration, error) { return 0, failed }); !errors.Is(err, failed) {
		t.Errorf("an error is lost: %v", err)
	}
}

func TestTheBestTimeIsKnownBetterAndBetter(t *testing.T) {
	s := machine(80, 110)
	if s.quiet(); s.best != 80 {
		t.Errorf("best %v", s.best)
	}
	if s.quiet() {
		t.Error("110 is quiet where 80 was seen")
	}
}

func TestWorkIsDoneOnEveryProcessor(t *testing.T) {
	if took := everywhere(); took <= 0 || took > 10*time.Second {
		t.Errorf("the work took %v", took)
	}
}

func TestDisturbedStartsAreLeftOutUnlessNearlyAllAre(t *testing.T) {
	all := sample{1, 2, 3, 4, 5, 6, 7, 8}
	s := machine(1)
	if got := s.undisturbed(all[:2], all); len(got) != 2 || s.omitted != 6 || s.restless != 0 {
		t.Errorf("%v, %d left out, %d restless", got, s.omitted, s.restless)
	}
	if got := s.undisturbed(all[:1], all); len(got) != 8 || s.omitted != 6 || s.restless != 7 {
		t.Errorf("%v, %d left out, %d restless", got, s.omitted, s.restless)
	}
}
