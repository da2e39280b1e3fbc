package policy

import (
	"cmp"
	"fmt"
	"math"

	"github.com/brig-engine/brig/internal/wire"
)

// Version2 gives the bounds r together with what control groups of version 2 have in place of shares, quota and the weight
// of blkio. It is computed whenever bounds are sent: a record has none of it.
func Version2(r wire.Resources) wire.Resources {
	r.CPUWeight, r.CPUMax, r.IOWeight = weight(r.CPUShares), bandwidth(r.CPUQuota, r.CPUPeriod), 0
	if w := r.BlkioWeight; w >= 10 { // 10 to 1000 become 1 to 10000
		r.IOWeight = uint16(1 + (int64(w)-10)*9999/990)
	}
	return r
}

// bandwidth is the pair of quota and period.
func bandwidth(quota int64, period uint64) string {
	most := "max"
	switch {
	case quota == 0 && period == 0:
		return ""
	case quota > 0:
		most = fmt.Sprint(quota)
	}
	return fmt.Sprint(most, " ", cmp.Or(period, defaultPeriod))
}

// weight converts shares (2 to 262144, default 1024) to a weight of version 2 (1 to 10000, default 100) by the curve
// through these three points that all engines agreed upon: 10 to the power of (l²+125l)/612 − 7/34, where l is the
// binary logarithm. No shares are no weight.
func weight(shares uint64) uint64 {
	switch {
	case shares == 0:
		return 0
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}
