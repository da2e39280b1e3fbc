package cli

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// reading is what an engine says of a container that uses half a processor.
func reading(id, name string) string {
	return fmt.Sprintf(`{"id":"%s","name":"%s","read":"2026-01-02T03:04:05Z",
		"cpu_stats":{"cpu_usage":{"total_usage":1500000000},"system_cpu_usage":4000000000,"online_cpus":2},
		"precpu_stats":{"cpu_usage":{"total_usage":1000000000},"system_cpu_usage":2000000000},
		"memory_stats":{"usage":20971520,"limit":67108864,"stats":{"inactive_file":1048576}},"pids_stats":{"current":3},
		"networks":{"eth0":{"rx_bytes":1000,"tx_bytes":2000},"eth1":{"rx_bytes":500}},
		"blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":4096},{"op":"write","value":8192},{"op":"Total","value":1}]}}
		`, id, name)
}

func TestRowsAreComputedAsDockerDoes(t *testing.T) {
	for _, c := range []struct {
		v    *engineapi.StatsResponse
		want string
	}{
		{nil, "{-- -- ref -- -- -- / -- -- -- --}"},
		{&engineapi.StatsResponse{}, "{0B / 0B 0.00% ref  0.00% 0B / 0B -- 0B / 0B 0}"},
		{&engineapi.StatsResponse{ID: "0123456789abcdef", Name: "/n", MemoryStats: engineapi.MemoryStats{Usage: 4096, Limit: 8192,
			Stats: map[string]uint64{"total_inactive_file": 1024, "inactive_file": 4000}}}, "{0B / 0B 0.00% ref 0123456789ab 37.50% 3KiB / 8KiB n 0B / 0B 0}"},
		{&engineapi.StatsResponse{MemoryStats: engineapi.MemoryStats{Usage: 10, Stats: map[string]uint64{"inactive_file": 99}},
			CPUStats: engineapi.CPUStats{CPUUsage: engineapi.CPUUsage{TotalUsage: 5, PercpuUsage: make([]uint64, 4)}, SystemUsage: 20}},
			"{0B / 0B 100.00% ref  0.00% 10B / 0B -- 0B / 0B 0}"},
		{&engineapi.StatsResponse{PreCPUStats: engineapi.CPUStats{CPUUsage: engineapi.CPUUsage{TotalUsage: 50}},
			CPUStats: engineapi.CPUStats{CPUUsage: engineapi.CPUUsage{TotalUsage: 5}, SystemUsage: 20}}, "{0B / 0B 0.00% ref  0.00% 0B / 0B -- 0B / 0B 0}"},
	} {
		if got := fmt.Sprint(makeStatsRow("ref", c.v, false)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.v, got, c.want)
		}
	}
}

func TestStatsOfAllAreThoseOfTheList(t *testing.T) {
	f := newFake(t)
	f.json("GET /containers/json", 200, `[{"Id":"aaaaaaaaaaaaaaaaaaaa"},{"Id":"bbbbbbbbbbbbbbbbbbbb"},{"Id":"cccccccccccccccccccc"}]`)
	f.json("GET /containers/aaaaaaaaaaaa/stats", 200, reading("aaaaaaaaaaaaaaaaaaaa", "/web"))
	f.json("GET /containers/bbbbbbbbbbbb/stats", 404, `{"message":"it was removed"}`)
	f.json("GET /containers/cccccccccccc/stats", 200, reading("cccccccccccccccccccc", `/db\u001b[2J`))
	r := f.brig("", "stats", "--no-stream", "-a", "--format", "{{.ID}} {{.Name}}")
	if r.code != 0 || r.err != "" || r.out != "aaaaaaaaaaaa web\ncccccccccccc db\ufffd[2J\n" {
		t.Errorf("%+v", r)
	}
	if q := f.last("GET /containers/json"); q.Line != "GET /containers/json?all=1" {
		t.Errorf("asked %s", q.Line)
	}
}

// TestStatsRefreshInPlace: on a terminal the table is written over itself, elsewhere below itself; it ends with its
// container.
func TestStatsRefreshInPlace(t *testing.T) {
	f := newFake(t)
	gone := make(chan struct{})
	f.on("GET /containers/web/stats", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gone:
			w.WriteHeader(404)
			fmt.Fprint(w, `{"message":"No such container: web"}`)
			return
		default:
		}
		fmt.Fprint(w, reading("aaaaaaaaaaaaaaaaaaaa", "/web"))
		_ = http.NewResponseController(w).Flush()
		<-gone
	})
	r := terminalSession(t, f, []string{"stats", "web"}, func(keyboard *os.File) {
		in := bufio.NewReader(keyboard)
		var seen strings.Builder
		for strings.Count(seen.String(), "\x1b[H") < 2 {
			b, err := in.ReadByte()
			if err != nil {
				t.Error(err)
				return
			}
			seen.WriteByte(b)
		}
		if s := seen.String(); !strings.HasPrefix(s, "\x1b[HCONTAINER ID") || !strings.Contains(s, "\x1b[K\r\n") || !strings.Contains(s, "\x1b[J") ||
			!strings.Contains(s, "50.00%") {
			t.Errorf("on the terminal: %q", s)
		}
		close(gone)
		go func() { _, _ = in.WriteTo(&seen) }() // until the terminal is closed
	})
	if r.code != 0 || r.err != "" {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	gone = make(chan struct{})
	defer close(gone)
	a := testApp(f.host)
	var out strings.Builder
	a.Out = &out
	a.Run(ctx, []string{"stats", "web"})
	if s := out.String(); strings.Count(s, "CONTAINER ID") != 2 || strings.Contains(s, "\x1b") {
		t.Errorf("elsewhere: %q", s)
	}
}

func TestUpdateSendsWhatWasNamed(t *testing.T) {
	f := newFake(t)
	f.json("POST /containers/web/update", 200, `{"Warnings":null}`)
	r := f.brig("", strings.Fields("update -m 64m --memory-swap -1 --memory-reservation 1m --cpus 1.5 -c 2 --cpu-period 3 --cpu-quota -1 "+
		"--cpu-rt-period 4 --cpu-rt-runtime 5 --cpuset-cpus 0-1 --cpuset-mems 0 --pids-limit -1 --blkio-weight 10 --restart on-failure:3 web")...)
	const want = `{"BlkioWeight":10,"CpuPeriod":3,"CpuQuota":-1,"CpuRealtimePeriod":4,"CpuRealtimeRuntime":5,"CpuShares":2,"CpusetCpus":"0-1",` +
		`"CpusetMems":"0","Memory":67108864,"MemoryReservation":1048576,"MemorySwap":-1,"NanoCpus":1500000000,"PidsLimit":-1,` +
		`"RestartPolicy":{"MaximumRetryCount":3,"Name":"on-failure"}}`
	sent := f.last("POST /containers/web/update")
	if r.code != 0 || r.out != "web\n" || sent == nil || strings.TrimSpace(sent.Body) != want {
		t.Errorf("%+v sent %+v", r, sent)
	}
}
