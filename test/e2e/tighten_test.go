package e2e

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// tightened is what brig tighten says of a container, which must be possible.
func (e *engine) tightened(name string, more ...string) []string {
	e.t.Helper()
	var advice struct{ Options, Notes, Obstacles []string }
	if err := json.Unmarshal([]byte(e.brig(append([]string{"tighten", "--format", "json", name}, more...)...)), &advice); err != nil {
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

// What was recorded becomes a profile, and with it the container does what it did; what it did not do it cannot.
func TestTightenMakesAProfile(t *testing.T) {
	e := startEngine(t).withBusybox()
	const script = "mkdir -p /run/app && echo 1 > /run/app/pid && echo done; trap 'echo bye; exit 7' TERM; while :; do sleep 0.1; done"
	e.brig("run", "--name", "prepared", "box", "sh", "-c", "mkdir -p /run; chmod 1777 /run")
	e.brig("commit", "prepared", "app")
	e.brig("run", "-d", "--name", "loose", "--record", "-u", "1000:1000", "app", "sh", "-c", script)
	e.eventually("its work", func() bool { return e.brig("logs", "loose") == "done" })
	if out := e.brig("tighten", "loose"); !strings.Contains(out, "system calls were recorded: --profile FILE makes a profile") {
		t.Errorf("%s", out)
	}
	file := e.dir + "/learned.json"
	e.brig("tighten", "--profile", file, "loose")
	options := e.tightened("loose", "--profile", file)
	if got := strings.Join(options, " "); got != "--level strict -u 1000:1000 --tmpfs /run/app --security-opt seccomp="+file {
		t.Errorf("%s", got)
	}
	e.brig(append(append([]string{"run", "-d", "--name", "tight"}, options...), "app", "sh", "-c", script)...)
	e.eventually("the same work", func() bool { return e.brig("logs", "tight") == "done" })
	if out, code := e.run(e.brigCommand("exec", "tight", "rm", "/run/app/pid")); code == 0 || !strings.Contains(out, "not permitted") {
		t.Errorf("a call that was not recorded: %d %s", code, out)
	}
	e.brig("stop", "tight")
	if out := e.brig("logs", "tight"); out != "done\nbye" || e.show("{{.State.ExitCode}}", "tight") != "7" {
		t.Errorf("its end: %s", out)
	}
	e.brig("run", "-d", "--name", "plain", "app", "sleep", "1000")
	e.refused(1, []string{"were not recorded. Next: brig run --record"}, "tighten", "--profile", file, "plain")
	e.brig("rm", "-f", "loose", "plain")
}

// The container is made again under its name, with all that it had.
func TestTightenAppliesItself(t *testing.T) {
	e := startEngine(t).withBusybox()
	const script = "mkdir -p /run/app && echo 1 > /run/app/pid && echo $WORD >> /home/worker/kept && echo done; while :; do sleep 0.1; done"
	e.brig("run", "--name", "prepared", "box", "sh", "-c", "mkdir -p /run /home/worker; chmod 1777 /run; touch /home/worker/of-the-image; chown -R 1000:1000 /home/worker")
	e.brig("commit", "prepared", "app")
	e.brig("volume", "create", "data")
	e.brig("network", "create", "mine")
	e.brig("run", "-d", "--name", "web", "--record", "-u", "1000:1000", "-e", "WORD=before", "-v", "data:/data", "-v", "/anonymous", "--network", "mine", "--network-alias", "www",
		"-p", "8080:80", "--label", "a=b", "-m", "64m", "--restart", "unless-stopped", "app", "sh", "-c", script)
	e.eventually("its work", func() bool { return e.brig("logs", "web") == "done" })
	anonymous := e.show(`{{range .Mounts}}{{if eq .Destination "/anonymous"}}{{.Name}}{{end}}{{end}}`, "web")
	was := e.show("{{.Id}}", "web")
	if out := e.must(e.brigCommand("tighten", "--apply", "web")); !strings.HasSuffix(out, "web") {
		t.Errorf("%s", out)
	}
	if out := e.brig("ps", "-a", "--format", "{{.Names}} {{.Level}} {{.State}}"); !strings.Contains(out, "web strict running") || strings.Contains(out, "tighten") {
		t.Errorf("%s", out)
	}
	if e.show("{{.Id}}", "web") == was {
		t.Error("it is the old one")
	}
	e.eventually("its work again", func() bool { return e.brig("logs", "web") == "done" })
	e.brig("cp", "web:/home/worker/kept", e.dir+"/kept")
	if b, err := os.ReadFile(e.dir + "/kept"); string(b) != "before\nbefore\n" {
		t.Errorf("what it had written: %q %v", b, err)
	}
	if got := e.show(`{{range .Mounts}}{{if eq .Destination "/anonymous"}}{{.Name}}{{end}}{{end}}`, "web"); got != anonymous {
		t.Errorf("its volume is %s, was %s", got, anonymous)
	}
	for template, want := range map[string]string{
		"{{.HostConfig.RestartPolicy.Name}}":                          "unless-stopped",
		"{{.HostConfig.Memory}}":                                      "67108864",
		`{{index .Config.Labels "a"}}`:                                "b",
		"{{.HostConfig.ReadonlyRootfs}}":                              "true",
		`{{index .HostConfig.PortBindings "80/tcp"}}`:                 "8080",
		`{{index .HostConfig.Annotations "brig.record"}}`:             "",
		`{{(index .NetworkSettings.Networks "mine").Aliases}}`:        "[www]",
		`{{range .Mounts}}{{.Name}}{{.Destination}} {{end}}`:          "data/data",
		`{{len .HostConfig.SecurityOpt}} {{.HostConfig.NetworkMode}}`: "1 mine",
	} {
		if got := e.show(template, "web"); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
	if out, code := e.run(e.brigCommand("exec", "web", "rm", "/run/app/pid")); code == 0 || !strings.Contains(out, "not permitted") {
		t.Errorf("a call that was not recorded: %d %s", code, out)
	}
	e.brig("rm", "-f", "web")
}

// One that does not live with the options is as it was.
func TestTightenGivesBackWhatDoesNotLive(t *testing.T) {
	e := startEngine(t).withBusybox()
	// A second run does what the first one, which was looked at, has not done.
	const script = "[ -e /data/ran ] && { echo broken >&2; exit 9; }; touch /data/ran; while :; do sleep 0.1; done"
	e.brig("volume", "create", "data")
	e.brig("run", "--rm", "-v", "data:/data", "box", "chmod", "777", "/data")
	e.brig("run", "-d", "--name", "web", "-u", "7:7", "-v", "data:/data", "-p", "8080:80", "box", "sh", "-c", script+" # web")
	e.eventually("its work", func() bool {
		_, code := e.run(e.brigCommand("exec", "web", "sh", "-c", "[ -e /data/ran ]"))
		return code == 0
	})
	was := e.show("{{.Id}}", "web")
	out, code := e.run(e.brigCommand("tighten", "--apply", "web"))
	if code != 1 || !strings.Contains(out, "web was not made again, and is as it was: with these options it ended after a moment, with status 9: broken") {
		t.Errorf("%d %s", code, out)
	}
	if out := e.brig("ps", "-a", "--format", "{{.Names}}"); out != "web" || e.show("{{.Id}}", "web") != was {
		t.Errorf("%s", out)
	}
	if got := e.show("{{.HostConfig.ReadonlyRootfs}} {{.State.StartedAt}}", "web"); !strings.HasPrefix(got, "false 20") {
		t.Errorf("%s", got)
	}
	e.brig("run", "-d", "--name", "root", "box", "sh", "-c", "touch /etc/passwd; sleep 1000")
	e.eventually("its change", func() bool { return strings.Contains(e.brig("diff", "root"), "C /etc/passwd") })
	e.refused(1, []string{"root cannot run at level strict, and is as it was", "ran as root"}, "tighten", "--apply", "root")
	e.brig("run", "-d", "--rm", "--name", "gone", "-u", "7", "box", "sleep", "1000")
	e.refused(1, []string{"gone is removed when it ends (--rm)"}, "tighten", "--apply", "gone")
	e.brig("rm", "-f", "root", "gone")
	// What a cut leaves is named.
	e.brig("rename", "web", "web.before-tighten")
	e.refused(1, []string{"web.before-tighten: it is web, which brig tighten --apply was making again", "Next: brig rename web.before-tighten web; brig start web"}, "system", "check")
	e.brig("create", "--name", "web", "box", "true")
	e.brig("create", "--name", "other.after-tighten", "box", "true")
	e.refused(1, []string{"it is what web was before", "before it had taken the place of other"}, "system", "check")
}

// What a program writes when it ends, or has where nothing would last, is not thrown away: the container is as it was.
func TestTightenThrowsNothingAway(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "--name", "prepared", "box", "sh", "-c", "mkdir -p /home/worker /run/app; echo first > /run/app/rows; chown -R 1000:1000 /home/worker /run")
	e.brig("commit", "prepared", "app")
	const waits = "echo done; while :; do sleep 0.1; done"
	for name, c := range map[string]struct{ script, precious, says string }{
		"dumps": {"trap 'echo precious > /home/worker/saved; exit' TERM; " + waits, "/home/worker/saved",
			"when it ended it wrote /home/worker/saved, which the advice has no place for"},
		"stores": {"mkdir -p /home/worker/db; echo precious > /home/worker/db/rows; " + waits, "/home/worker/db/rows",
			"what it has in /home/worker/db would be in memory, and lost"},
		"spools": {"mkdir -p /home/worker/spool/in; trap 'echo precious > /home/worker/spool/in/job; exit' TERM; " + waits, "/home/worker/spool/in/job",
			"when it ended it wrote /home/worker/spool/in/job, which the advice has no place for"},
		"swaps": {"mkdir -p /home/worker/spool/in; trap 'rmdir /home/worker/spool/in; echo precious > /home/worker/spool/in; exit' TERM; " + waits, "/home/worker/spool/in",
			"when it ended it wrote to /home/worker/spool, which would be in memory"},
		"saves": {"trap 'echo precious > /run/app/rows; exit' TERM; echo 1 > /run/pid; " + waits, "/run/app/rows",
			"when it ended it wrote /run/app/rows, which the advice has no place for"},
	} {
		e.brig("run", "-d", "--name", name, "-u", "1000:1000", "app", "sh", "-c", c.script)
		e.eventually("its work", func() bool { return strings.HasPrefix(e.brig("logs", name), "done") })
		was := e.show("{{.Id}}", name)
		if out, code := e.run(e.brigCommand("tighten", "--apply", name)); code != 1 || !strings.Contains(out, c.says) || !strings.Contains(out, "is as it was") {
			t.Errorf("%s: %d %s", name, code, out)
		}
		if got := e.show("{{.Id}} {{.State.Running}}", name); got != was+" true" {
			t.Errorf("%s: %s, was %s", name, got, was)
		}
		if out := e.brig("exec", name, "cat", c.precious); out != "precious" {
			t.Errorf("%s: %q", name, out)
		}
		e.brig("rm", "-f", name)
	}
}

// /run is in memory, and what the image has in a directory of its own there is carried over like anything else.
func TestTightenCarriesWhatTheImageHasInRun(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "--name", "prepared", "box", "sh", "-c", "mkdir -p /run/app; echo first > /run/app/rows; chown -R 1000:1000 /run")
	e.brig("commit", "prepared", "app")
	e.brig("run", "-d", "--name", "web", "-u", "1000:1000", "app", "sh", "-c",
		"echo 1 > /run/pid; [ -e /run/app/new ] || { echo more >> /run/app/rows; touch /run/app/new; }; trap 'echo last >> /run/app/rows; exit' TERM; echo done; while :; do sleep 0.1; done")
	e.eventually("its work", func() bool { return e.brig("logs", "web") == "done" })
	if got := strings.Join(e.tightened("web"), " "); got != "--level strict -u 1000:1000 --tmpfs /run -v /run/app" {
		t.Errorf("%s", got)
	}
	if out, code := e.run(e.brigCommand("tighten", "--apply", "web")); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	if out := e.brig("exec", "web", "sh", "-c", "cat /run/app/rows /run/pid; ls /run /run/app"); out != "first\nmore\nlast\n1\n/run:\napp\npid\n\n/run/app:\nnew\nrows" {
		t.Errorf("%q", out)
	}
}

// What the engine has made to mount something is nothing that the program has written, at whatever depth.
func TestTightenKnowsMountPoints(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "--name", "prepared", "box", "sh", "-c", "mkdir -p /srv/full /srv/empty; ln -s srv/full /link; echo x >/srv/full/of-the-image")
	e.brig("commit", "prepared", "app")
	e.brig("run", "-d", "--name", "web", "-u", "1000:1000", "-v", "data:/srv/full/a/b", "--tmpfs", "/srv/empty/t", "--mount", "type=tmpfs,dst=/srv/full/m",
		"-v", "/etc/hostname:/srv/full/file:ro", "-v", "/mnt/x/y", "-v", "/link/n", "-v", "/srv/empty/t/sub/n", "app", "sh", "-c", "trap exit TERM; while :; do sleep 0.1; done")
	if got := strings.Join(e.tightened("web"), " "); got != "--level strict -u 1000:1000" {
		t.Errorf("%s", got)
	}
	if out, code := e.run(e.brigCommand("tighten", "--apply", "web")); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	if out := e.brig("exec", "web", "sh", "-c", "cat /srv/full/of-the-image; grep -c -e /srv/full/a/b -e /srv/empty/t -e /srv/full/m -e /srv/full/file -e /mnt/x/y -e /srv/full/n /proc/mounts"); out != "x\n7" {
		t.Errorf("%s", out)
	}
}

// Killed at any moment, it leaves the old container or the new one, and what is left besides has a name that is known.
func TestTightenThatIsKilledLosesNothing(t *testing.T) {
	e := startEngine(t).withBusybox()
	const script = "trap 'exit 0' TERM; echo kept >/home/kept; while :; do sleep 0.05; done"
	e.brig("run", "--name", "prepared", "box", "sh", "-c", "mkdir /home; chmod 777 /home; echo x >/home/of-the-image; chown -R 7:7 /home")
	e.brig("commit", "prepared", "app")
	e.brig("rm", "prepared")
	states := map[string]bool{}
	for delay := 20 * time.Millisecond; delay < 900*time.Millisecond; delay += 40 * time.Millisecond {
		e.brig("run", "-d", "--name", "web", "-u", "7:7", "app", "sh", "-c", script)
		e.eventually("its work", func() bool { return strings.Contains(e.brig("diff", "web"), "/home/kept") })
		cmd := e.brigCommand("tighten", "--apply", "web")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		names := strings.Fields(e.brig("ps", "-a", "--format", "{{.Names}}"))
		slices.Sort(names)
		state := strings.Join(names, " ")
		states[state] = true
		switch state {
		case "web", "web web.after-tighten", "web web.before-tighten", "web.after-tighten web.before-tighten":
		default:
			t.Errorf("after %v: %s", delay, state)
		}
		out, code := e.run(e.brigCommand("system", "check"))
		for _, n := range names {
			if n != "web" && (code != 1 || !strings.Contains(out, n)) {
				t.Errorf("after %v %s is left, and the check says: %d %s", delay, n, code, out)
			}
		}
		if state == "web" && code != 0 {
			t.Errorf("after %v: %d %s", delay, code, out)
		}
		old := names[0] // web, or with neither name in place the one that was
		if slices.Contains(names, "web.before-tighten") {
			old = "web.before-tighten"
		}
		e.brig("cp", old+":/home/kept", e.dir+"/kept")
		e.brig(append([]string{"rm", "-fv"}, names...)...)
	}
	if len(states) < 2 {
		t.Errorf("it was never cut off where it matters: %v", states)
	}
	t.Logf("%v", states)
}
