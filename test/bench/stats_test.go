package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantiles(t *testing.T) {
	tens := milliseconds(100, 10, 20, 90, 30, 40, 50, 80, 60, 70)
	for _, c := range []struct {
		name      string
		got, want time.Duration
	}{
		{"median of none", sample(nil).median(), 0},
		{"min of none", sample(nil).min(), 0},
		{"p90 of none", sample(nil).quantile(0.9), 0},
		{"median of one", milliseconds(5).median(), 5 * time.Millisecond},
		{"p90 of one", milliseconds(5).quantile(0.9), 5 * time.Millisecond},
		{"median of an even number", tens.median(), 55 * time.Millisecond},
		{"median of an odd number", milliseconds(3, 1, 2).median(), 2 * time.Millisecond},
		{"p90 of ten", tens.quantile(0.9), 90 * time.Millisecond},
		{"p91 of ten", tens.quantile(0.91), 100 * time.Millisecond},
		{"p100 of ten", tens.quantile(1), 100 * time.Millisecond},
		{"min", tens.min(), 10 * time.Millisecond},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
	if tens[0] != 100*time.Millisecond {
		t.Error("the sample was sorted in place")
	}
}

func TestStatisticsStayWithinTheSampleAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(1, 1e12), 1, 40).Draw(t, "values")
		var s sample
		for _, v := range values {
			s = append(s, time.Duration(v))
		}
		if s.min() > s.median() || s.median() > s.quantile(1) || s.quantile(0.5) > s.quantile(0.9) {
			t.Fatalf("min %d median %d p90 %d max %d", s.min(), s.median(), s.quantile(0.9), s.quantile(1))
		}
	})
}
