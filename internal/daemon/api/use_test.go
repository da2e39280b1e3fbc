package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	apicontainer "github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// useFixture has readings of version 2, and two processes of which one is malicious.
func useFixture(f *fakeWarden) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.use.readings = map[string]string{
		"memory.current": "8192\n", "memory.stat": "anon 4096\ninactive_file 1024\n", "memory.events": "oom 0\n", "pids.current": "2\n",
		"cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n", "io.stat": "8:0 rbytes=1000 wbytes=2000\n",
		"net/dev": "h\n lo: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n eth0: 1000 1 0 0 0 0 0 0 2000 2 0 0 0 0 0 0\n",
	}
	const rest = " S 0 100 100 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 99999999 5242880 1024 184 1 1"
	f.use.procs = []wire.ProcTexts{
		{Stat: "101 (a) S 1 (b\n)" + rest, Status: "Uid:\t1000\t1000\nGid:\t1000\t1000\n", Cmdline: "x\x00\x1b[2J\n9 9\x00"},
		{Stat: "100 (sh)" + rest, Status: "Uid:\t0\t0\nGid:\t0\t0\n", Cmdline: "sh\x00-c\x00sleep 9\x00"},
	}
}

// goldenFile compares a reply with a file of testdata.
func goldenFile(t *testing.T, name, body string) {
	t.Helper()
	got := regexp.MustCompile(`"(read|preread)": "20[^"]+"`).ReplaceAll(stable(t, body), []byte(`"$1": "TIME"`))
	got = regexp.MustCompile(`"(system_cpu_usage|online_cpus)": [1-9]\d*`).ReplaceAll(got, []byte(`"$1": "THE MACHINE'S"`))
	got = regexp.MustCompile(`"\d\d:\d\d"|"[A-Z][a-z]{2}\d\d"`).ReplaceAll(got, []byte(`"STIME"`))
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", file, got)
	}
}

func TestStatsAndTopHaveTheseShapes(t *testing.T) {
	f := newFakeWarden(t)
	useFixture(f)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "sleep 100", `,"HostConfig":{"Memory":67108864}`)
	at := "/v1.50/containers/" + id
	must(t, s, 204, "POST", "/v1.50/containers/"+id+"/rename?name=web", "")
	goldenFile(t, "stats-created.json", must(t, s, 200, "GET", at+"/stats?stream=0", ""))
	refusedWith(t, s, 409, "container "+id+" is not running", "GET", at+"/top", "")
	must(t, s, 204, "POST", at+"/start", "")
	goldenFile(t, "stats-one-shot.json", must(t, s, 200, "GET", at+"/stats?stream=false&one-shot=true", ""))
	began := time.Now()
	goldenFile(t, "stats.json", must(t, s, 200, "GET", at+"/stats?stream=0", ""))
	if d := time.Since(began); d < statsInterval {
		t.Errorf("two readings within %v", d)
	}
	goldenFile(t, "top.json", must(t, s, 200, "GET", at+"/top", ""))
	goldenFile(t, "top-list.json", must(t, s, 200, "GET", at+"/top?ps_args=-o+pid,user,args", ""))
	refusedWith(t, s, 501, "--forest", "GET", at+"/top?ps_args=--forest", "")
	refusedWith(t, s, 404, "No such container", "GET", "/containers/none/stats", "")
	refusedWith(t, s, 404, "No such container", "GET", "/containers/none/top", "")
	must(t, s, 204, "POST", at+"/pause", "")
	must(t, s, 200, "GET", at+"/stats?stream=0&one-shot=1", "")
	must(t, s, 200, "GET", at+"/top", "")
}

// descriptors counts those of this process that are open on what the fake warden gave as readings.
func descriptors(f *fakeWarden) (n int) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		if to, _ := os.Readlink(l); strings.HasPrefix(to, f.dir+"/reading") {
			n++
		}
	}
	return n
}

// TestAStreamFollowsItsContainer through end and start to removal, and holds descriptors while it runs only.
func TestAStreamFollowsItsContainer(t *testing.T) {
	f := newFakeWarden(t)
	useFixture(f)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "sleep 100", "")
	at := "/v1.50/containers/" + id
	must(t, s, 204, "POST", at+"/start", "")
	c, err := net.Dial("unix", s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s/stats HTTP/1.1\r\nHost: brig\r\n\r\n", at)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(r.Body)
	next := func() (v apicontainer.StatsResponse) {
		t.Helper()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	first, second := next(), next()
	if !first.PreRead.IsZero() || second.PreRead != first.Read || second.PreCPUStats.SystemUsage != first.CPUStats.SystemUsage ||
		second.CPUStats.SystemUsage < first.CPUStats.SystemUsage+5e8 || int(first.CPUStats.OnlineCPUs) < runtime.NumCPU() || first.MemoryStats.Usage != 8192 {
		t.Errorf("first %+v, second %+v", first, second)
	}
	want := len(f.use.readings) - 1 // net/dev comes as text
	if n := descriptors(f); n != want {
		t.Errorf("%d descriptors, want %d", n, want)
	}
	must(t, s, 204, "POST", at+"/stop?t=0", "")
	eventually(t, "it lets go", func() bool { return descriptors(f) == 0 })
	eventually(t, "a reading of nothing", func() bool { v := next(); return v.Read.IsZero() && v.ID == id && v.MemoryStats.Usage == 0 })
	must(t, s, 204, "POST", at+"/start", "")
	eventually(t, "a reading of the next run", func() bool { return next().MemoryStats.Usage == 8192 })
	must(t, s, 204, "DELETE", at+"?force=1", "")
	var v apicontainer.StatsResponse
	eventually(t, "the end", func() bool { return d.Decode(&v) != nil })
	if n := descriptors(f); n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
}

// TestMachinesTimeIsNoWordOfTheWarden: a file of that name, or two of one name, are none of a container's.
func TestMachinesTimeIsNoWordOfTheWarden(t *testing.T) {
	f := newFakeWarden(t)
	useFixture(f)
	s := startDaemon(t, f, t.TempDir()).socket
	id := create(t, s, "sleep 100", "")
	must(t, s, 204, "POST", "/v1.50/containers/"+id+"/start", "")
	f.mu.Lock()
	f.use.readings["stat"] = "cpu  1000 0 0 1000 0 0 0 0 0 0\n"
	f.mu.Unlock()
	refusedWith(t, s, 500, "none of the container's", "GET", "/v1.50/containers/"+id+"/stats?stream=0&one-shot=1", "")
	if n := descriptors(f); n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
}

// TestDockerClientUsesTheVerbs runs the client's commands for what is used, and for who stands still.
func TestDockerClientUsesTheVerbs(t *testing.T) {
	f := newFakeWarden(t)
	useFixture(f)
	s := startDaemon(t, f, t.TempDir()).socket
	mustDocker(t, s, "run", "-d", "--name", "two", "-m", "64m", "test", "sleep", "100")
	for _, c := range []struct{ args, want string }{
		{"pause two", "two\n"},
		{"ps --format {{.State}}", "paused\n"},
		{"inspect -f {{.State.Status}}{{.State.Paused}} two", "pausedtrue\n"},
		{"top two -o pid,user,args", "PID                 USER                COMMAND\n100                 root                sh -c sleep 9\n101                 app                 x ?[2J?9 9\n"},
		{"unpause two", "two\n"},
		{"update -m 32m --cpus 0.5 two", "two\n"},
		{"inspect -f {{.HostConfig.Memory}}/{{.HostConfig.NanoCpus}} two", "33554432/500000000\n"},
		{"stats --no-stream --format {{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.MemPerc}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}} two",
			"two|0.00%|7KiB / 32MiB|0.02%|1kB / 2kB|1kB / 2kB|2\n"},
	} {
		if got := mustDocker(t, s, strings.Fields(strings.ReplaceAll(c.args, "}} / {{", "}}/{{"))...); got != c.want {
			t.Errorf("docker %s: %q, want %q", c.args, got, c.want)
		}
	}
}
