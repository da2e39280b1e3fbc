package api

import (
	"strings"
	"testing"
)

// TestDockerClientAsks runs the client's other commands: each is answered, or refused in words.
func TestDockerClientAsks(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	id := strings.TrimSpace(mustDocker(t, s, "create", "--name", "one", "-v", "data:/data", "-p", "8080:80", "test", "sleep", "100"))
	for _, c := range []struct{ args, want string }{
		{"info -f {{.ServerVersion}}/{{.Containers}}/{{.CgroupVersion}}", "0.1.0-dev/1/2\n"},
		{"version -f {{.Server.APIVersion}}", MaxVersion + "\n"},
		{"network ls --format {{.Name}}", "bridge\nnone\n"},
		{"network inspect -f {{.Driver}} bridge", "bridge\n"},
		{"volume ls -q", "data\n"},
		{"volume inspect -f {{.Mountpoint}} data", "/var/lib/brig/volumes/data\n"},
		{"volume create -d local --label a=b other", "other\n"},
		{"volume rm other", "other\n"},
		{"ps -aq --no-trunc", id + "\n"},
		{"ps -a --format {{.State}}", "created\n"},
		{"ps -a --format {{.Names}}/{{.Size}}", "one/-1B\n"}, // not measured
		{"start one", "one\n"},
		{"port one", ""},
		{"restart -t 0 one", "one\n"},
		{"stop -t 0 one", "one\n"},
		{"container prune -f", "Deleted Containers:\n" + id + "\n\nTotal reclaimed space: 0B\n"},
		{"volume prune -af", "Deleted Volumes:\ndata\n\nTotal reclaimed space: 0B\n"},
		{"network prune -f", ""},
		{"ps -aq", ""},
	} {
		if got := mustDocker(t, s, strings.Fields(c.args)...); got != c.want {
			t.Errorf("docker %s: %q, want %q", c.args, got, c.want)
		}
	}
	mustDocker(t, s, "create", "--name", "three", "-v", "left:/left", "test", "true")
	for _, c := range []struct{ args, want string }{
		{"system df --format {{.Type}}:{{.TotalCount}}:{{.Active}}:{{.Size}}:{{.Reclaimable}}", "Images:2:1:5kB:3kB (60%)\n" +
			"Containers:1:0:-1B:-1B\nLocal Volumes:1:1:0B:0B\nBuild Cache:0:0:0B:0B\n"},
		{"system df -v --format {{range_.Volumes}}{{.Links}}:{{.Size}}{{end}}", "1:-1B"},
		{"wait three", "0\n"},
		{"inspect -f {{.State.Status}} --type container three", "created\n"},
		{"rm -v three", "three\n"},
	} {
		args := strings.Fields(c.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "range_", "range ")
		}
		if got := mustDocker(t, s, args...); got != c.want {
			t.Errorf("docker %s: %q, want %q", c.args, got, c.want)
		}
	}
	mustDocker(t, s, "run", "-d", "--name", "two", "test", "sleep", "100")
	const unsupported = "not supported by this version of Brig"
	for args, want := range map[string]string{
		"top two --forest": unsupported,
		"swarm init":       unsupported, "network create -d overlay mine": "--driver overlay",
		"network connect bridge two":   "already exists",
		"plugin ls":                    unsupported,
		"run --restart sometimes test": "unknown policy 'sometimes'", "run --gpus all test": "--gpus",
		"run --network host test": "--network host", "run --cap-add SYS_ADMIN test": "--cap-add",
		"run --device /dev/null:/x test": "--device", "run --pid host test": "--pid host", "run -v /a:/proc/x test": "/proc/x",
	} {
		_, errOut, code := docker(t, s, "", strings.Fields(args)...)
		if code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("docker %s: exit %d, %q; want %q", args, code, errOut, want)
		}
	}
}

func mustDocker(t *testing.T, socket string, args ...string) string {
	t.Helper()
	out, errOut, code := docker(t, socket, "", args...)
	if code != 0 {
		t.Errorf("docker %s: exit %d: %s", strings.Join(args, " "), code, errOut)
	}
	return out
}
