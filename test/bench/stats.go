package main

import (
	"slices"
	"time"
)

// sample is a number of measured times, in the order in which they were taken.
type sample []time.Duration

// quantile is the smallest value that at least the share q (0 < q ≤ 1) of the sample does not exceed, 0 if the sample
// is empty.
func (s sample) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	i := int(q * float64(len(sorted)))
	if float64(i) == q*float64(len(sorted)) {
		i--
	}
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// median is the middle value, or the mean of the two in the middle.
func (s sample) median() time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (s sample) min() time.Duration {
	if len(s) == 0 {
		return 0
	}
	return slices.Min(s)
}

// rates are starts per second, one of each window.
type rates []float64

// best is what foreign work on the machine took least from.
func (r rates) best() float64 {
	if len(r) == 0 {
		return 0
	}
	return slices.Max(r)
}

func (r rates) median() float64 {
	if len(r) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(r))[len(r)/2]
}
