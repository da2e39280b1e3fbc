package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// follower collects what a command prints while it runs.
type follower struct {
	e    *engine
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen bytes.Buffer
}

func (e *engine) follow(cmd *exec.Cmd) *follower {
	e.t.Helper()
	f := &follower{e: e, cmd: cmd}
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return f
}

func (f *follower) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen.Write(p)
}

func (f *follower) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen.String()
}

// listened waits until n clients listen to events.
func (e *engine) listened(n int) {
	e.t.Helper()
	e.eventually("listeners", func() bool {
		return e.brig("system", "info", "-f", "{{.NEventsListener}}") == fmt.Sprint(n)
	})
}

// ownImage waits until the image is there that the engine brings along.
func (e *engine) ownImage() {
	e.t.Helper()
	e.brig("image", "inspect", "brig-probe")
}

// TestEventsOfALife: both clients hear of everything, at once and in one order.
func TestEventsOfALife(t *testing.T) {
	e := startEngine(t).withBusybox()
	const format = "{{.Type}} {{.Action}}{{with .Actor.Attributes.exitCode}} {{.}}{{end}}{{with .Actor.Attributes.signal}} {{.}}{{end}}"
	began := time.Now().Format(time.RFC3339Nano)
	// The image that the engine brings along is taken in meanwhile.
	args := []string{"events", "--format", format, "-f", "type=container", "-f", "type=volume", "-f", "type=network"}
	live := []*follower{e.follow(e.brigCommand(args...)), e.follow(e.dockerCommand(args...))}
	e.listened(2)
	e.run(e.dockerCommand("run", "--name", "one", "-v", "vol:/data", "box", "sh", "-c", "exit 3")) // the events say how it ended
	e.brig("run", "-d", "--name", "two", "--label", "tier=front", "box", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done")
	e.docker("exec", "two", "true")
	e.brig("restart", "two")
	e.docker("rename", "two", "three")
	e.brig("kill", "three")
	e.docker("rm", "three")
	e.brig("rm", "-f", "one")
	e.brig("volume", "rm", "vol")
	e.brig("run", "-d", "--rm", "--name", "four", "box", "sleep", "100")
	e.docker("rm", "-f", "four")
	e.refused(137, nil, "run", "--rm", "-m", "16m", "box", "tail", "/dev/zero")
	e.brig("network", "prune", "-f")
	want := strings.Join([]string{
		"volume create", "container create", "container attach", "volume mount", "network connect", "container start",
		"network disconnect", "volume unmount", "container die 3",
		"container create", "network connect", "container start", "container exec_create: true", "container exec_start: true",
		"container exec_die 0", "container kill 15", "network disconnect", "container die 4", "container stop", "network connect",
		"container start", "container restart", "container rename", "container kill 9", "network disconnect", "container die 137",
		"container destroy", "container destroy", "volume destroy",
		"container create", "network connect", "container start", "container kill 9", "network disconnect", "container die 137",
		"container destroy", "container create", "container attach", "network connect", "container start", "container oom",
		"network disconnect", "container die 137", "container destroy", "network prune", ""}, "\n")
	for i, f := range live {
		e.eventually("the last event", func() bool { return strings.HasSuffix(f.text(), "network prune\n") })
		if f.text() != want {
			t.Errorf("listener %d saw\n%s\nwant\n%s", i, f.text(), want)
		}
	}
	until := time.Now().Format(time.RFC3339Nano)
	for _, c := range []struct{ want, args string }{
		{"front", "--filter label=tier=front --filter event=create --format {{.Actor.Attributes.tier}}"},
		{"137", "--filter container=three --filter event=die --format {{.Actor.Attributes.exitCode}}"},
		{"vol", "--filter type=volume --filter event=destroy --format {{.Actor.ID}}"},
		{"bridge", "--filter network=bridge --filter event=disconnect --format {{.Actor.Attributes.name}}"},
		{"box", "--filter image=box --filter event=exec_create --format {{.From}}"},
	} {
		args := append([]string{"events", "--since", began, "--until", until}, strings.Fields(c.args)...)
		for client, out := range map[string]string{"brig": e.brig(args...), "docker": e.docker(args...)} {
			lines := strings.Split(out, "\n")
			if last := lines[len(lines)-1]; last != c.want {
				t.Errorf("%s events %s: %q, want %q", client, c.args, out, c.want)
			}
		}
	}
	if a, b := e.brig("events", "--since", began, "--until", until), e.docker("events", "--since", began, "--until", until); a != b {
		t.Errorf("brig prints\n%s\ndocker\n%s", a, b)
	}
}

// TestImagesAreFilteredPrunedAndTold lists, removes, and reads in the events what has happened.
func TestImagesAreFilteredPrunedAndTold(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.ownImage()
	began := time.Now().Format(time.RFC3339Nano)
	busybox := filepath.Join(e.dir, "busybox.tar")
	e.brig("import", "-c", "LABEL level=low", "-c", "ENV PATH=/bin", busybox, "low:1")
	time.Sleep(10 * time.Millisecond)
	e.brig("import", "-c", "LABEL level=high", "-c", "ENV PATH=/bin", busybox, "high:1")
	e.docker("tag", "high:1", "high:2")
	archive := filepath.Join(e.dir, "high.tar")
	e.docker("save", "-o", archive, "high:2")
	e.docker("rmi", "high:2")
	e.brig("load", "-i", archive)
	e.brig("create", "--name", "holds", "low:1", "true")
	e.brig("tag", "box", "low:1") // low:1 has no name now
	for _, c := range []struct{ want, args string }{
		{"high:1 high:2", "--filter label=level=high"}, {"<none>:<none>", "--filter dangling=true"},
		{"<none>:<none>", "--filter label=level=low"}, {"high:1 high:2", "--filter reference=hi*"},
		{"high:2", "high:2"}, {"high:1 high:2", "--filter since=box --filter label=level --filter dangling=false"},
		{"box:latest low:1", "--filter before=high:1 --filter reference=box --filter reference=low"}, {"", "--filter until=1h --filter reference=high"},
	} {
		args := append([]string{"images", "--format", "{{.Repository}}:{{.Tag}}"}, strings.Fields(c.args)...)
		for client, out := range map[string]string{"brig": e.brig(args...), "docker": e.docker(args...)} {
			words := strings.Fields(out)
			if got := strings.Join(slices.Sorted(slices.Values(words)), " "); got != c.want {
				t.Errorf("%s images %s: %q, want %q", client, c.args, got, c.want)
			}
		}
	}
	// The image without a name is used by a container, and its name in ps is its id.
	if out := e.docker("image", "prune", "-f"); out != "Total reclaimed space: 0B" {
		t.Errorf("prune of what is used: %q", out)
	}
	id := e.brig("inspect", "-f", "{{.Image}}", "holds")
	if out := e.docker("ps", "-a", "--format", "{{.Image}}", "--no-trunc"); out != id {
		t.Errorf("ps shows %q, the image is %s", out, id)
	}
	e.brig("rm", "holds")
	if out := e.brig("image", "prune", "-f"); !strings.Contains(out, "deleted: "+id) || strings.Contains(out, ": 0B") {
		t.Errorf("image prune: %q", out)
	}
	out := e.docker("image", "prune", "-a", "-f", "--filter", "label=level=high")
	if !strings.Contains(out, "untagged: high:1") || !strings.Contains(out, "untagged: high:2") {
		t.Errorf("image prune -a: %q", out)
	}
	var actions []string
	for line := range strings.Lines(e.docker("events", "--since", began, "--until", time.Now().Format(time.RFC3339Nano), "--filter",
		"type=image", "--format", "{{.Action}}")) {
		actions = append(actions, strings.TrimSpace(line))
	}
	const want = "tag import tag import tag save untag load tag prune delete prune untag untag delete prune"
	if got := strings.Join(actions, " "); got != want {
		t.Errorf("images: %s, want %s", got, want)
	}
}

// TestWhatIsNotUsedIsRemoved asks through both clients, and removes.
func TestWhatIsNotUsedIsRemoved(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "runs", "-v", "kept:/data", "box", "sleep", "1000")
	e.brig("create", "--name", "old", "-v", "/anonymous", "--label", "keep=no", "box", "true")
	e.brig("volume", "create", "named")
	e.ownImage()
	df := "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}"
	brig := strings.Split(e.brig("system", "df", "--format", df), "\n")
	docker := strings.Split(e.docker("system", "df", "--format", df), "\n")
	if len(brig) != 4 || !slices.Equal(brig[:2], docker[:2]) || brig[1] != "Containers 2 1 0B" || brig[2] != "Local Volumes 3 2 N/A" ||
		brig[3] != docker[3] {
		t.Errorf("brig system df %q, docker %q", brig, docker)
	}
	if out := e.brig("system", "df", "-v"); !strings.Contains(out, "Local Volumes space usage") || !strings.Contains(out, "kept") {
		t.Errorf("system df -v: %s", out)
	}
	if out, code := e.run(e.dockerCommand("system", "df", "-v")); code != 0 {
		t.Errorf("docker system df -v: %s", out)
	}
	for _, cmd := range []*exec.Cmd{e.brigCommand("container", "prune"), e.dockerCommand("container", "prune")} {
		cmd.Stdin = strings.NewReader("n\n")
		if out := e.must(cmd); !strings.Contains(out, "WARNING! This will remove all stopped containers.") {
			t.Errorf("%v: %q", cmd.Args, out)
		}
	}
	if out := e.docker("container", "prune", "-f", "--filter", "label=keep=yes"); strings.Contains(out, "Deleted") {
		t.Errorf("a container with another label was removed: %q", out)
	}
	if out := e.brig("container", "prune", "-f", "--filter", "until=1h"); strings.Contains(out, "Deleted") {
		t.Errorf("a container of now was removed: %q", out)
	}
	if out := e.docker("system", "prune", "-f", "--volumes"); !strings.Contains(out, "Deleted Containers:") ||
		!strings.Contains(out, "Deleted Volumes:") {
		t.Errorf("docker system prune: %q", out)
	}
	if out := e.brig("volume", "ls", "-q"); out != "kept\nnamed" {
		t.Errorf("volumes: %q", out)
	}
	if out := e.brig("volume", "prune", "-af"); out != "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 0B" {
		t.Errorf("brig volume prune: %q", out)
	}
	if out := e.brig("system", "prune", "-f"); out != "Total reclaimed space: 0B" {
		t.Errorf("brig system prune: %q", out)
	}
	if out := e.docker("ps", "-a", "--format", "{{.Names}}"); out != "runs" {
		t.Errorf("left: %q", out)
	}
}

// TestListsAreDockers holds filters and templates against each other through both clients.
func TestListsAreDockers(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "web-1", "--label", "tier=front", "-p", "127.0.0.1:8080:80", "-v", "vol:/data", "box", "sleep", "1000")
	e.refused(3, nil, "run", "--name", "job", "--network", "none", "box", "sh", "-c", "exit 3")
	e.brig("create", "--name", "web-2", "--expose", "90", "box", "true")
	for _, c := range []struct{ want, args string }{
		{"web-2 job web-1", "-a"}, {"web-1", ""}, {"web-2", "-l"}, {"web-2 job", "-n 2"}, {"web-2 web-1", "-a -f name=^web"},
		{"", "-f exited=3"}, {"job", "-a -f exited=3"}, {"web-2", "-f status=created"}, {"job", "-a -f network=none"},
		{"web-1", "-f publish=8080"}, {"web-1", "-f volume=vol"}, {"web-1", "-f volume=/data"}, {"web-2", "-a -f since=job"},
		{"job web-1", "-a -f before=web-2"}, {"web-2 job web-1", "-a -f ancestor=box"}, {"", "-a -f ancestor=none"},
		{"web-1", "-f label=tier=front"}, {"web-2 job web-1", "-a -f health=none"}, {"", "-a -f is-task=true"},
	} {
		args := append([]string{"ps", "--format", "{{.Names}}"}, strings.Fields(c.args)...)
		for client, out := range map[string]string{"brig": e.brig(args...), "docker": e.docker(args...)} {
			if got := strings.Join(strings.Fields(out), " "); got != c.want {
				t.Errorf("%s ps %s: %q, want %q", client, c.args, got, c.want)
			}
		}
	}
	for _, args := range []string{"ps -aq", "ps -aq --no-trunc", "volume ls", "network ls", "port web-1", "port web-1 80",
		"inspect web-1", "inspect job web-2 vol bridge box", "image inspect box", "volume inspect vol", "network inspect none",
		"inspect -f {{.State.ExitCode}} job", "inspect --type volume vol"} {
		if a, b := e.brig(strings.Fields(args)...), e.docker(strings.Fields(args)...); canonical(a) != canonical(b) {
			t.Errorf("brig %s prints\n%s\ndocker\n%s", args, a, b)
		}
	}
	for _, args := range []string{"ps -a", "ps -a --no-trunc", "images --digests box", "volume ls", "network ls", "history box"} {
		if a, b := e.brig(strings.Fields(args)...), e.docker(strings.Fields(args)...); ageless(a) != ageless(b) {
			t.Errorf("brig %s prints\n%s\ndocker\n%s", args, a, b)
		}
	}
	for _, c := range []struct {
		code int
		args string
	}{
		{1, "inspect nothing"}, {1, "inspect --type frob web-1"}, {1, "port web-1 81"}, {1, "port nothing"}, {1, "rename web-1 job"},
		{1, "rename web-1 web-1"}, {1, "rename nothing x1"}, {1, "wait nothing"}, {0, "inspect -s web-1"}, {1, "ps -f frob=x"},
		{1, "ps -f status=x"}, {1, "ps -f since=nothing"}, {1, "images -f frob=x"}, {1, "volume prune -f --filter frob=x"},
	} {
		a, ours := e.run(e.brigCommand(strings.Fields(c.args)...))
		b, theirs := e.run(e.dockerCommand(strings.Fields(c.args)...))
		if ours != c.code || theirs != c.code {
			t.Errorf("%s: brig %d %q, docker %d %q, want %d", c.args, ours, a, theirs, b, c.code)
		}
	}
	waiting := e.follow(e.dockerCommand("wait", "web-1", "job"))
	e.brig("kill", "web-1")
	e.eventually("wait", func() bool { return waiting.text() == "137\n3\n" })
}

// ageless leaves the ages out of a table, and what they do to its columns.
func ageless(s string) string {
	s = regexp.MustCompile(`(\d+|About an?|Less than a) (second|minute)s?`).ReplaceAllString(s, "AGE")
	return regexp.MustCompile(` +`).ReplaceAllString(s, " ")
}

// canonical gives JSON one form; other text stays.
func canonical(s string) string {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return s
	}
	return string(b)
}
