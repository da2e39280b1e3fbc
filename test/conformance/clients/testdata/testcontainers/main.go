// Command testcontainers does what tests do with testcontainers-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	tc "github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

var results int

func check(what string, err error) {
	results++
	if err == nil {
		fmt.Println("ok -", what)
		return
	}
	fmt.Println("not ok -", what+":", strings.ReplaceAll(err.Error(), "\n", "~"))
}

func same[T comparable](what string, got, want T, err error) {
	if err == nil && got != want {
		err = fmt.Errorf("%#v and not %#v", got, want)
	}
	check(what, err)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, part := range []func(context.Context){server, waits, files, networks, ends} {
		part(ctx)
	}
	fmt.Printf("1..%d\n", results)
}

// running starts a container whose program does not mind SIGTERM, and says if that failed.
func running(ctx context.Context, what string, options ...tc.ContainerCustomizer) *tc.DockerContainer {
	kill := tc.WithConfigModifier(func(c *container.Config) { c.StopSignal = "KILL" })
	c, err := tc.Run(ctx, "box", append([]tc.ContainerCustomizer{kill}, options...)...)
	check(what, err)
	if err == nil {
		return c
	}
	if c != nil {
		tc.TerminateContainer(c)
	}
	return nil
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

func execute(ctx context.Context, c tc.Container, words []string, options ...tcexec.ProcessOption) (int, string, error) {
	code, out, err := c.Exec(ctx, words, append(options, tcexec.Multiplexed())...)
	if err != nil {
		return code, "", err
	}
	text, err := io.ReadAll(out)
	return code, string(text), err
}

// heard collects the lines of a log consumer.
type heard struct {
	sync.Mutex
	lines []string
}

func (h *heard) Accept(l tc.Log) {
	h.Lock()
	defer h.Unlock()
	h.lines = append(h.lines, l.LogType+" "+strings.TrimSpace(string(l.Content)))
}

func (h *heard) has(line string) bool {
	h.Lock()
	defer h.Unlock()
	return slices.Contains(h.lines, line)
}

// server is the everyday use: a port, a wait for what answers there, and questions to the container.
func server(ctx context.Context) {
	consumer := &heard{}
	c := running(ctx, "run: wait for HTTP",
		tc.WithExposedPorts("80/tcp"), tc.WithEnv(map[string]string{"A": "b"}), tc.WithLabels(map[string]string{"purpose": "test"}),
		tc.WithTmpfs(map[string]string{"/scratch": "size=1m"}),
		tc.WithCmd("sh", "-c", "echo serving; echo complaint >&2; exec httpd -f -h /data"),
		tc.WithLogConsumers(consumer), tc.WithWaitStrategy(wait.ForHTTP("/hello").WithPort("80/tcp")))
	if c == nil {
		return
	}
	endpoint, err := c.PortEndpoint(ctx, "80/tcp", "http")
	check("port endpoint", err)
	text, err := get(ctx, endpoint+"/hello")
	same("the mapped port answers", text, "from the image\n", err)
	host, err := c.Host(ctx)
	same("host", host, "localhost", err)
	code, out, err := execute(ctx, c, []string{"sh", "-c", "echo $A; echo err >&2; exit 5"})
	same("exec: status", code, 5, err)
	same("exec: output", out, "b\nerr\n", err)
	_, out, err = execute(ctx, c, []string{"sh", "-c", "id -u; pwd; echo $V"}, tcexec.WithUser("worker"),
		tcexec.WithWorkingDir("/data"), tcexec.WithEnv([]string{"V=w"}))
	same("exec: user, directory, environment", out, "1000\n/data\nw\n", err)
	logs, err := c.Logs(ctx)
	if err == nil {
		var all []byte
		all, err = io.ReadAll(logs)
		text = string(all)
	}
	same("logs: both streams", strings.Contains(text, "serving\n") && strings.Contains(text, "complaint\n"), true, err)
	for end := time.Now().Add(15 * time.Second); !consumer.has("STDERR complaint") && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	same("log consumer: standard output", consumer.has("STDOUT serving"), true, nil)
	same("log consumer: standard error", consumer.has("STDERR complaint"), true, nil)
	seen, err := c.Inspect(ctx)
	if err == nil {
		same("inspect: labels", seen.Config.Labels["purpose"], "test", nil)
	}
	state, err := c.State(ctx)
	same("state", err == nil && state.Running, true, err)
	ip, err := c.ContainerIP(ctx)
	same("container ip", ip != "", true, err)
	patience := time.Second
	check("stop", c.Stop(ctx, &patience))
	same("is running: stopped", c.IsRunning(), false, nil)
	check("start", c.Start(ctx))
	endpoint, err = c.PortEndpoint(ctx, "80/tcp", "http")
	if err == nil {
		text, err = get(ctx, endpoint+"/hello")
	}
	same("the port answers after another start", text, "from the image\n", err)
	id := c.GetContainerID()
	check("terminate", tc.TerminateContainer(c))
	_, err = c.Inspect(ctx)
	same("inspect: terminated", err != nil && strings.Contains(err.Error(), id), true, nil)
}

// waits tries each strategy on a program that is ready after a while.
func waits(ctx context.Context) {
	const late = "sleep 1; echo now ready; touch /tmp/ready; exec httpd -f -h /data"
	for _, w := range []struct {
		what     string
		strategy wait.Strategy
	}{
		{"a line of the log", wait.ForLog("now ready")},
		{"a pattern twice", wait.ForLog("now|ready").AsRegexp().WithOccurrence(2)},
		{"a port", wait.ForListeningPort("80/tcp")},
		{"a port inside", wait.ForListeningPort("80/tcp").SkipExternalCheck()},
		{"a command", wait.ForExec([]string{"test", "-e", "/tmp/ready"})},
		{"a file", wait.ForFile("/tmp/ready")},
		{"all", wait.ForAll(wait.ForLog("now ready"), wait.ForHTTP("/hello").WithPort("80/tcp"))},
	} {
		c := running(ctx, "wait for "+w.what, tc.WithExposedPorts("80/tcp"), tc.WithCmd("sh", "-c", late),
			tc.WithWaitStrategy(w.strategy))
		if c != nil {
			check("terminate after "+w.what, tc.TerminateContainer(c))
		}
	}
	c := running(ctx, "wait for health", tc.WithCmd("sh", "-c", late), tc.WithWaitStrategy(wait.ForHealthCheck()),
		tc.WithConfigModifier(func(c *container.Config) {
			c.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "test", "-e", "/tmp/ready"},
				Interval: 200 * time.Millisecond, Timeout: 5 * time.Second, Retries: 50}
		}))
	if c != nil {
		check("terminate after health", tc.TerminateContainer(c))
	}
	c, err := tc.Run(ctx, "box", tc.WithCmd("sh", "-c", "exit 3"),
		tc.WithWaitStrategy(wait.ForLog("never").WithStartupTimeout(20*time.Second)))
	same("a wait for one that has ended fails", err != nil && strings.Contains(err.Error(), "exited with code 3"), true, nil)
	check("terminate one that failed", tc.TerminateContainer(c))
}

func files(ctx context.Context) {
	dir, err := os.MkdirTemp("", "files")
	check("directory", err)
	defer os.RemoveAll(dir)
	check("file", os.WriteFile(filepath.Join(dir, "note"), []byte("a note"), 0o644))
	c := running(ctx, "run: files and a volume",
		tc.WithFiles(tc.ContainerFile{HostFilePath: filepath.Join(dir, "note"), ContainerFilePath: "/data/note", FileMode: 0o640},
			tc.ContainerFile{Reader: strings.NewReader("from memory"), ContainerFilePath: "/root/deep/below", FileMode: 0o600}),
		tc.WithMounts(tc.VolumeMount("things", "/things")), tc.WithCmd("sh", "-c", "cat /data/note; echo; exec sleep 1000"),
		tc.WithWaitStrategy(wait.ForLog("a note")))
	if c == nil {
		return
	}
	_, out, err := execute(ctx, c, []string{"stat", "-c", "%a %s", "/data/note", "/root/deep/below"})
	same("files: modes", out, "640 6\n600 11\n", err)
	check("copy to container", c.CopyToContainer(ctx, []byte("later"), "/tmp/later", 0o644))
	check("copy file to container", c.CopyFileToContainer(ctx, filepath.Join(dir, "note"), "/things/note", 0o644))
	check("copy directory to container", c.CopyDirToContainer(ctx, dir, "/tmp/"+filepath.Base(dir), 0o755))
	_, out, err = execute(ctx, c, []string{"cat", "/tmp/later", "/things/note", "/tmp/" + filepath.Base(dir) + "/note"})
	same("copied", out, "latera notea note", err)
	r, err := c.CopyFileFromContainer(ctx, "/things/note")
	var text []byte
	if err == nil {
		text, err = io.ReadAll(r)
		err = errors.Join(err, r.Close())
	}
	same("copy file from container", string(text), "a note", err)
	_, err = c.CopyFileFromContainer(ctx, "/nothing")
	same("copy file from container: nothing there", err != nil, true, nil)
	check("terminate with its volume", tc.TerminateContainer(c, tc.RemoveVolumes("things")))
}

func networks(ctx context.Context) {
	n, err := network.New(ctx, network.WithLabels(map[string]string{"purpose": "test"}))
	check("network", err)
	if err != nil {
		return
	}
	server := running(ctx, "run: in a network", network.WithNetwork([]string{"page"}, n), tc.WithExposedPorts("80/tcp"),
		tc.WithCmd("httpd", "-f", "-h", "/data"), tc.WithWaitStrategy(wait.ForListeningPort("80/tcp")))
	visitor := running(ctx, "run: beside it", network.WithNetwork([]string{"visitor"}, n),
		tc.WithCmd("sh", "-c", "wget -q -O - http://page/hello; exec sleep 1000"), tc.WithWaitStrategy(wait.ForLog("from the image")))
	if server != nil && visitor != nil {
		names, err := server.Networks(ctx)
		same("networks", err == nil && slices.Contains(names, n.Name), true, err)
		aliases, err := server.NetworkAliases(ctx)
		same("aliases", err == nil && slices.Contains(aliases[n.Name], "page"), true, err)
	}
	same("remove: in use", n.Remove(ctx) != nil, true, nil)
	check("terminate the server", tc.TerminateContainer(server))
	check("terminate the visitor", tc.TerminateContainer(visitor))
	check("remove the network", n.Remove(ctx))
}

// ends are containers that are not servers, and names that are used again.
func ends(ctx context.Context) {
	c := running(ctx, "wait for an end", tc.WithCmd("echo", "done"), tc.WithWaitStrategy(wait.ForExit().WithExitTimeout(30*time.Second)))
	if c != nil {
		state, err := c.State(ctx)
		same("state: ended", err == nil && state.Status == "exited" && state.ExitCode == 0, true, err)
		check("terminate one that has ended", tc.TerminateContainer(c))
	}
	first := running(ctx, "run: by name", tc.WithName("again"), tc.WithReuseByName("again"), tc.WithCmd("sleep", "1000"))
	second := running(ctx, "run: the same", tc.WithReuseByName("again"), tc.WithCmd("sleep", "1000"))
	if first != nil && second != nil {
		same("reuse", second.GetContainerID(), first.GetContainerID(), nil)
	}
	check("terminate what was used again", tc.TerminateContainer(first))
}
