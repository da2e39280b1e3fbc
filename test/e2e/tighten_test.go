package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// tightened is what brig tighten says of a container, which must be possible.
func (e *engine) tightened(name string) []string {
	e.t.Helper()
	var advice struct{ Options, Notes, Obstacles []string }
	if err := json.Unmarshal([]byte(e.brig("tighten", "--format", "json", name)), &advice); err != nil {
		e.t.Fatal(err)
	}
	if len(advice.Obstacles) > 0 {
		e.t.Fatalf("brig tighten %s: %q", name, advice.Obstacles)
	}
	return advice.Options
}

// What it says is enough: a container that is made so does what the first one did.
func TestWhatTightenSaysIsEnough(t *testing.T) {
	e := startEngine(t).withBusybox()
	const script = "mkdir -p /run/app && echo 1 > /run/app/pid && echo x > /home/worker/kept && echo done; sleep 1000"
	e.brig("run", "--name", "prepared", "box", "sh", "-c", "mkdir -p /run /home/worker; chmod 1777 /run; touch /home/worker/of-the-image; chown -R 1000:1000 /home/worker")
	e.brig("commit", "prepared", "app")
	e.brig("run", "-d", "--name", "loose", "-u", "1000:1000", "app", "sh", "-c", script)
	e.eventually("its work", func() bool { return e.brig("logs", "loose") == "done" })
	options := e.tightened("loose")
	if got := strings.Join(options, " "); got != "--level strict -u 1000:1000 -v /home/worker --tmpfs /run/app" {
		t.Errorf("%s", got)
	}
	e.brig(append(append([]string{"run", "-d", "--name", "tight"}, options...), "app", "sh", "-c", script)...)
	e.eventually("the same work", func() bool { return e.brig("logs", "tight") == "done" })
	if out := e.brig("exec", "tight", "sh", "-c", "ls /home/worker; id -u; touch /x 2>/dev/null || echo sealed"); out != "kept\nof-the-image\n1000\nsealed" {
		t.Errorf("%s", out)
	}
	e.brig("run", "-d", "--name", "root", "box", "sh", "-c", "touch /etc/passwd; sleep 1000")
	e.eventually("its change", func() bool { return strings.Contains(e.brig("diff", "root"), "C /etc/passwd") })
	e.refused(1, []string{"obstacle: -u: ", "ran as root", "obstacle: /etc is another user's (0:0) and holds files of the image; it wrote /etc/passwd"}, "tighten", "root")
	e.brig("stop", "-t", "0", "root")
	e.refused(1, []string{"does not run", "Next: brig start root"}, "tighten", "root")
}

// Debian's nginx writes as root what its workers read; with the options that tighten prints it serves without root.
func TestDebianNginxRunsStrict(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("nginx")
	e.brig("run", "-d", "--name", "loose", "-p", "8080:80", "nginx")
	e.reaches("127.0.0.1:8080", "/", "Welcome to nginx")
	options := e.tightened("loose")
	e.brig("rm", "-f", "loose")
	e.brig(append(append([]string{"run", "-d", "--name", "tight", "-p", "8080:80"}, options...), "nginx")...)
	e.reaches("127.0.0.1:8080", "/", "Welcome to nginx")
	if owners := e.brig("exec", "tight", "sh", "-c", "id -u; stat -c %U /proc/[0-9]*/ | sort -u"); strings.Contains(owners, "root") {
		t.Errorf("%s", owners)
	}
}

// Programs whose entry script gives up root by itself begin without it.
func TestDebianDatabasesRunStrict(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("redis")
	e.brig("run", "-d", "--name", "loose", "-p", "6379:6379", "redis")
	e.eventually("redis", func() bool { return e.redis("PING") == "+PONG" })
	options := e.tightened("loose")
	e.brig("rm", "-fv", "loose")
	e.brig(append(append([]string{"run", "-d", "--name", "tight", "-p", "6379:6379"}, options...), "redis")...)
	e.eventually("redis at level strict", func() bool { return e.redis("SET", "key", "value") == "+OK" })
	e.brig("rm", "-fv", "tight")

	e.withDebian("postgres")
	e.brig("run", "-d", "--name", "loose", "postgres")
	e.eventually("postgres", func() bool { return e.sql("loose", "SELECT 1") == "1" })
	options = e.tightened("loose")
	e.brig("rm", "-fv", "loose")
	e.brig(append(append([]string{"run", "-d", "--name", "tight"}, options...), "postgres")...)
	e.eventually("postgres at level strict", func() bool { return e.sql("tight", "SELECT 1") == "1" })
	if out := e.brig("exec", "tight", "sh", "-c", "id -un; stat -c %U /proc/[0-9]*/ | sort -u"); strings.Contains(out, "root") {
		t.Errorf("%s", out)
	}
}
