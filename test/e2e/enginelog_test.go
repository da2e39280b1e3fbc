package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an engine logs is for machines if that is asked for, each line of it, and has no secret of anybody, however much it logs.
func TestTheEnginesLog(t *testing.T) {
	e := startEngine(t)
	e.ownImage()
	e.stop()
	if err := os.Remove(filepath.Join(e.dir, "run", "engine.log")); err != nil {
		t.Fatal(err)
	}
	e.start("--log-format", "json", "--log-level", "debug")
	const secret = "hunter2-is-secret"
	e.brig("run", "-d", "--name", "web", "-e", "PASSWORD="+secret, "--label", "token="+secret, "brig-probe", "sleep", "infinity")
	e.brig("exec", "-e", "KEY="+secret, "web", "echo", secret)
	e.brig("ps", "--filter", "label=token="+secret)
	for _, args := range [][]string{
		{"exec", "-e", "KEY=" + secret, "web", "/no/such", secret},
		{"run", "-e", "PASSWORD=" + secret, "no-such-image:" + "latest"},
		{"run", "--name", "bad name", "-e", "PASSWORD=" + secret, "brig-probe"},
	} {
		if out, code := e.run(e.brigCommand(args...)); code == 0 {
			t.Errorf("%v succeeds: %s", args, out)
		}
	}
	login := e.brigCommand("login", "--username", "me", "--password-stdin", "127.0.0.1:1")
	login.Stdin = strings.NewReader(secret)
	if out, code := e.run(login); code == 0 {
		t.Errorf("login succeeds: %s", out)
	}
	e.brig("rm", "-f", "web")
	seen := map[string]bool{}
	for line := range strings.Lines(e.log()) {
		var r struct {
			Time, Level, Msg, Route, Code string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Time == "" || r.Level == "" {
			t.Errorf("no record: %v: %s", err, line)
		}
		seen[r.Route+" "+r.Code] = true
	}
	for _, want := range []string{"DELETE /containers/{id} 204", "POST /containers/create 404"} {
		if !seen[want] {
			t.Errorf("no request of %s: %v", want, seen)
		}
	}
	if strings.Contains(e.log(), secret) {
		t.Errorf("the log tells a secret:\n%s", e.log())
	}
	// The next start says nothing of it, and has the usual again.
	e.stop()
	e.start()
	if _, err := os.Stat(filepath.Join(e.dir, "run", "daemon", "logging")); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
	e.refused(1, []string{"--log-format", "text, json"}, "engine", "start", "--run", e.dir+"/run", "--log-format", "xml")
}
