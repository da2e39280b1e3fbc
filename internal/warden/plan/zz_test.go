package plan_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/pidfd"
	"github.com/brig-engine/brig/internal/warden/plan"
)

func TestZZ(t *testing.T) {
	root := image(t)
	sum := map[string][]time.Duration{}
	var order []string
	for range 100 {
		s := spec("true")
		c := prepare(t, root, s)
		p, _ := plan.Birth(c.in)
		q, names := plan.Clocked(p)
		order = names
		var ts unix.Timespec
		unix.ClockGettime(1, &ts)
		start := time.Duration(ts.Nano())
		_, fd, err := plan.Start(q, plan.Options{FDs: c.fds})
		must(t, err)
		for _, fd := range c.fds {
			unix.Close(fd)
		}
		b, _ := io.ReadAll(c.out)
		pidfd.Wait(fd, false)
		unix.Close(fd)
		c.out.Close()
		last := start
		for i, n := range names {
			at := time.Duration(binary.NativeEndian.Uint64(b[16*i:]))*time.Second + time.Duration(binary.NativeEndian.Uint64(b[16*i+8:]))
			if at == 0 {
				continue
			}
			k := fmt.Sprintf("%3d %s", i, n)
			sum[k] = append(sum[k], at-last)
			last = at
		}
	}
	total := time.Duration(0)
	for i, n := range order {
		k := fmt.Sprintf("%3d %s", i, n)
		x := sum[k]
		if len(x) == 0 {
			continue
		}
		sort.Slice(x, func(i, j int) bool { return x[i] < x[j] })
		total += x[0]
		if x[0] > 4000 {
			fmt.Printf("%8v %8v  %.100s\n", x[0], x[len(x)/2], k)
		}
	}
	fmt.Println(total)
}
