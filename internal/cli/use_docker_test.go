package cli

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// dockers runs Docker's own client against the fake engine.
func dockers(t *testing.T, f *fakeEngine, args ...string) string {
	t.Helper()
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	cmd := exec.Command(docker, append([]string{"-H", f.host}, args...)...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/nonexistent"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestUpdateSendsWhatDockerSends(t *testing.T) {
	for _, options := range []string{"-m 64m", "--memory 64m --memory-swap -1 --memory-reservation 1m", "--cpus 1.5 -c 512", "--cpu-period 5000 --cpu-quota -1",
		"--cpu-rt-period 4 --cpu-rt-runtime 5", "--cpuset-cpus 0-1 --cpuset-mems 0", "--pids-limit -1 --blkio-weight 300", "--restart on-failure:3",
		"--restart no"} {
		f := newFake(t)
		f.json("POST /containers/web/update", 200, `{"Warnings":null}`)
		args := append([]string{"update"}, append(strings.Fields(options), "web")...)
		if r := f.brig("", args...); r.code != 0 {
			t.Errorf("brig update %s: %+v", options, r)
			continue
		}
		var bodies [2]string
		bodies[0] = f.last("POST /containers/web/update").Body
		dockers(t, f, args...)
		bodies[1] = f.last("POST /containers/web/update").Body
		for i, body := range bodies {
			var v any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal(prune(v, ""))
			bodies[i] = string(b)
		}
		if bodies[0] != bodies[1] {
			t.Errorf("update %s: brig sends %s and docker %s", options, bodies[0], bodies[1])
		}
	}
}

// TestStatsAndTopPrintWhatDockerPrints for the same answers of an engine.
func TestStatsAndTopPrintWhatDockerPrints(t *testing.T) {
	for _, args := range [][]string{{"stats", "--no-stream", "web"}, {"stats", "--no-stream", "--no-trunc", "web"}, {"stats", "--no-stream", "job"},
		{"stats", "--no-stream", "--format", "json", "web"}, {"stats", "--no-stream", "--format", "table {{.Container}}\t{{.PIDs}}\t{{.MemPerc}}", "web"},
		{"stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.NetIO}} {{.BlockIO}}", "web"}, {"top", "web"}} {
		f := newFake(t)
		layReplies(f)
		ours := f.brig("", args...)
		if theirs := dockers(t, f, args...); ours.out != theirs {
			t.Errorf("%v: brig prints\n%s\ndocker\n%s", args, ours.out, theirs)
		}
	}
}
