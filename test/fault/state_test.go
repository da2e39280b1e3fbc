package fault

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// state is what people see of an engine, in lines, without what is another one in every run.
type state string

// The names of what is there throughout.
const (
	bystander = "stays"
	home      = "home" // its network
	image     = "box"
)

// get asks the engine, also one that is just being followed by another. It tells whether there is such a thing.
func (m *machine) get(path string, v any) bool {
	m.t.Helper()
	var err error
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var res *http.Response
		if res, err = m.client.Get("http://brig/v1.50" + path); err != nil {
			continue
		}
		b, rerr := io.ReadAll(res.Body)
		res.Body.Close()
		if err = rerr; err != nil {
			continue
		}
		if res.StatusCode == http.StatusNotFound {
			return false
		}
		if res.StatusCode != http.StatusOK {
			m.t.Fatalf("GET %s: %s %s", path, res.Status, b)
		}
		if err = json.Unmarshal(b, v); err == nil {
			return true
		}
	}
	m.t.Fatalf("GET %s: %v\n%s", path, err, m.log())
	return false
}

type listed struct {
	ID    string `json:"Id"`
	Names []string
}

func (m *machine) containers() (list []listed) {
	m.t.Helper()
	m.get("/containers/json?all=1", &list)
	return slices.DeleteFunc(list, func(l listed) bool { return slices.Contains(l.Names, "/"+bystander) })
}

type shown struct {
	Name  string
	State struct {
		Status   string
		ExitCode int
		Pid      int
	}
	HostConfig struct {
		AutoRemove    bool
		Memory        int64
		RestartPolicy struct{ Name string }
	}
	Mounts          []struct{ Name, Destination string }
	NetworkSettings struct{ Networks map[string]any }
}

// state looks.
func (m *machine) state() state {
	m.t.Helper()
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, l := range m.containers() {
		var c shown
		if !m.get("/containers/"+l.ID+"/json", &c) {
			continue // it has just been removed
		}
		var nets, mounts []string
		for n := range c.NetworkSettings.Networks {
			nets = append(nets, n)
		}
		for _, v := range c.Mounts {
			mounts = append(mounts, anonymous(v.Name)+":"+v.Destination)
		}
		slices.Sort(nets)
		slices.Sort(mounts)
		how := fmt.Sprintf("%s %d", c.State.Status, c.State.ExitCode)
		if c.HostConfig.AutoRemove {
			how += " rm"
		}
		say("container %s %s memory=%d restart=%s nets=%s mounts=%s", strings.TrimPrefix(c.Name, "/"), how, c.HostConfig.Memory,
			c.HostConfig.RestartPolicy.Name, nets, mounts)
	}
	var images []struct{ RepoTags []string }
	m.get("/images/json", &images)
	for _, i := range images {
		if len(i.RepoTags) == 0 {
			say("image without a name")
		}
		for _, n := range i.RepoTags {
			if n != image+":latest" && n != "brig-probe:latest" {
				say("image %s", n)
			}
		}
	}
	var volumes struct{ Volumes []struct{ Name string } }
	m.get("/volumes", &volumes)
	for _, v := range volumes.Volumes {
		say("volume %s", anonymous(v.Name))
	}
	var networks []struct{ Name string }
	m.get("/networks", &networks)
	for _, n := range networks {
		if !slices.Contains([]string{"bridge", "none", home}, n.Name) {
			say("network %s", n.Name)
		}
	}
	slices.Sort(lines)
	return state(strings.Join(lines, "\n"))
}

// withoutProbe is what the engine itself shows.
func (s state) withoutProbe() state {
	text, _, _ := strings.Cut(string(s), "\nprobe: ")
	return state(text)
}

func anonymous(name string) string {
	if len(name) == 64 {
		return "ANONYMOUS"
	}
	return name
}

// fallen is what a state is after all processes have ended with the engine, or with the machine: exit codes are not
// compared then, and of --rm containers nothing is left.
func (s state) fallen() state {
	var lines []string
	for line := range strings.Lines(string(s)) {
		f := strings.Fields(line)
		if len(f) > 1 && f[1] == "memory:" { // of a process that is gone
			continue
		}
		if f[0] == "container" {
			if f[4] == "rm" {
				continue
			}
			if f[2] == "created" {
				f[3] = "?" // of a start that failed
			} else {
				f[2], f[3] = "exited", "?"
			}
		}
		lines = append(lines, strings.Join(f, " "))
	}
	return state(strings.Join(lines, "\n"))
}

// bystands makes sure that the container which runs throughout still does, as the same process, and answers at its port.
func (m *machine) bystands(answers bool) {
	m.t.Helper()
	var c shown
	m.get("/containers/"+bystander+"/json", &c)
	if c.State.Status != "running" || c.State.Pid != m.bystander {
		m.t.Errorf("the bystander is %s as process %d, and was process %d", c.State.Status, c.State.Pid, m.bystander)
		return
	}
	if out, code := m.try("exec", bystander, "echo", "yes"); code != 0 || out != "yes" {
		m.t.Errorf("the bystander executes nothing: %d %q", code, out)
	}
	if !answers {
		return
	}
	var text string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && text != "hello\n"; time.Sleep(5 * time.Millisecond) {
		text = m.dial("127.0.0.1:8080")
	}
	if text != "hello\n" {
		m.t.Errorf("the bystander's port says %q", text)
	}
}

// seat starts the bystander.
func (m *machine) seat() {
	m.t.Helper()
	if _, code := m.try("inspect", "--type", "container", bystander); code == 0 {
		m.brig("rm", "-f", bystander)
	}
	if _, code := m.try("network", "inspect", home); code != 0 {
		m.brig("network", "create", home)
	}
	m.brig("run", "-d", "--name", bystander, "--network", home, "--stop-signal", "KILL", "-p", "8080:80", image, "nc", "-ll", "-p", "80", "-e", "echo", "hello")
	var c shown
	m.get("/containers/"+bystander+"/json", &c)
	m.bystander = c.State.Pid
	m.bystands(true)
}
