package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// What it costs to be recorded, for docs/policy.md: BRIG_SLOW=1 go test ./test/e2e -run TestCostOfRecording -v
func TestCostOfRecording(t *testing.T) {
	slow(t)
	e := startEngine(t).withBusybox()
	const calls = 100_000 // and as many writes
	took := func(options ...string) time.Duration {
		args := append(append([]string{"run", "--rm"}, options...), "box", "sh", "-c",
			"read u x </proc/uptime; dd if=/dev/zero of=/dev/null bs=1 count="+strconv.Itoa(calls)+" 2>/dev/null; read v x </proc/uptime; echo $u $v")
		times := strings.Fields(e.brig(args...))
		begin, err := strconv.ParseFloat(times[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		end, err := strconv.ParseFloat(times[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration((end - begin) * float64(time.Second))
	}
	plain, recorded := took(), took("--record")
	t.Logf("%d system calls: %v, recorded %v; %v for each", 2*calls, plain, recorded, (recorded-plain)/(2*calls))
	if recorded > 2*calls*500*time.Microsecond {
		t.Errorf("recording is slower than is said")
	}
}
