package e2e

import (
	"strings"
	"testing"
)

// Debian's programs with the profile that was learned from a run of each: they serve, at level strict, and end as they should.
func TestDebianNginxLivesWithItsProfile(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("nginx")
	e.brig("run", "-d", "--name", "web", "--record", "-p", "8080:80", "nginx")
	e.reaches("127.0.0.1:8080", "/", "Welcome to nginx")
	for range 20 { // more than one of its processes
		e.get("127.0.0.1:8080", "/missing-page")
	}
	e.learned("web")
	e.reaches("127.0.0.1:8080", "/", "Welcome to nginx")
	if owners := e.brig("top", "web", "-o", "uid,comm"); strings.Contains(owners, "\n0 ") {
		t.Errorf("%s", owners)
	}
	e.brig("stop", "web")
	if code := e.exitCode("web"); code != "0" {
		t.Errorf("exit code %s after its own stop signal", code)
	}
}

func TestDebianDatabasesLiveWithTheirProfiles(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("redis")
	e.brig("run", "-d", "--name", "store", "--record", "-p", "6379:6379", "redis")
	e.eventually("redis", func() bool { return e.redis("SET", "key", "value") == "+OK" })
	if got := e.redis("SAVE"); got != "+OK" {
		t.Errorf("SAVE: %s", got)
	}
	e.learned("store")
	e.eventually("redis with its profile", func() bool { return e.redis("SET", "other", "value") == "+OK" })
	if got := e.redis("SAVE"); got != "+OK" {
		t.Errorf("SAVE: %s", got)
	}
	e.brig("rm", "-fv", "store")

	e.withDebian("postgres")
	e.brig("run", "-d", "--name", "base", "--record", "postgres")
	e.eventually("postgres", func() bool { return e.sql("base", "SELECT 1") == "1" })
	e.sql("base", "CREATE TABLE kept AS SELECT 42 AS answer")
	e.learned("base")
	e.eventually("postgres with its profile", func() bool { return e.sql("base", "SELECT answer FROM kept") == "42" })
	e.brig("stop", "base")
	if code := e.exitCode("base"); code != "0" {
		t.Errorf("exit code %s after its own stop signal", code)
	}
}

// learned applies to a container what was learned of it, and looks that it has come to hold.
func (e *engine) learned(name string) {
	e.t.Helper()
	file := e.dir + "/" + name + ".json"
	e.t.Logf("%s: %s", name, e.brig("tighten", "--profile", file, name))
	e.must(e.brigCommand("tighten", "--apply", name))
	if got := e.show(`{{.HostConfig.ReadonlyRootfs}} {{index .HostConfig.Annotations "brig.level"}} {{len .HostConfig.SecurityOpt}}`, name); got != "true strict 1" {
		e.t.Errorf("%s was made again with %s", name, got)
	}
	if out := e.brig("explain", name); !strings.Contains(out, "system-call filters") {
		e.t.Errorf("%s", out)
	}
}
