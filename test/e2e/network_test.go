package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// client is one of the two command lines: what networks promise, they promise both.
type client struct {
	name string
	*engine
	cmd func(args ...string) *exec.Cmd
}

func (c client) does(args ...string) string {
	c.t.Helper()
	return c.must(c.cmd(args...))
}

// says runs a command in a container, whatever comes of it.
func (c client) says(container string, args ...string) (string, int) {
	c.t.Helper()
	return c.run(c.cmd(append([]string{"exec", container}, args...)...))
}

func (e *engine) bothClients() []client {
	return []client{{"brig", e, e.brigCommand}, {"docker", e, e.dockerCommand}}
}

// serves starts a container that answers every connection to port 80 with its name.
func (c client) serves(name string, options ...string) {
	c.t.Helper()
	c.does(append(append([]string{"run", "-d", "--name", name}, options...), "box", "sh", "-c",
		"while :; do echo "+name+" | nc -l -p 80; done")...)
}

// gets is what port 80 of target says to a container; "" if it is out of reach.
func (c client) gets(from, target string) string {
	c.t.Helper()
	for try := 0; ; try++ { // the server is a loop of single answers
		out, code := c.says(from, "nc", "-w", "1", target, "80")
		if code == 0 && out != "" {
			return out
		}
		if try == 2 || !strings.Contains(out, "refused") {
			return ""
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (c client) address(name, network string) string {
	c.t.Helper()
	return c.does("inspect", "--format", `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`, name)
}

// Two containers on a network reach each other by name, alias, id and address; nobody else does.
func TestContainersOnANetwork(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			c.does("network", "create", "net")
			c.does("network", "create", "other")
			c.serves("web", "--network", "net", "--network-alias", "www", "--hostname", "webhost")
			c.serves("friend", "--network", "net")
			c.serves("stranger", "--network", "other")
			c.serves("alone")
			id, addr := c.does("ps", "-q", "--filter", "name=web"), c.address("web", "net")
			for _, target := range []string{"web", "www", "web.net", id, "webhost", addr} {
				if got := c.gets("friend", target); got != "web" {
					t.Errorf("a member asks %s: %q", target, got)
				}
			}
			if got := c.gets("web", "friend"); got != "friend" {
				t.Errorf("the other way: %q", got)
			}
			for _, from := range []string{"stranger", "alone"} {
				for _, target := range []string{"web", "www", "web.net", addr} {
					if got := c.gets(from, target); got != "" {
						t.Errorf("%s reaches %s: %q", from, target, got)
					}
				}
			}
			for _, target := range []string{c.address("stranger", "other"), c.address("alone", "bridge")} {
				if got := c.gets("web", target); got != "" {
					t.Errorf("a member reaches %s outside: %q", target, got)
				}
			}
			c.does("network", "connect", "--alias", "guest", "net", "stranger")
			if got := c.gets("stranger", "www"); got != "web" {
				t.Errorf("connected: %q", got)
			}
			if got := c.gets("web", "guest"); got != "stranger" {
				t.Errorf("connected, the other way: %q", got)
			}
			c.does("network", "disconnect", "net", "stranger")
			if got := c.gets("stranger", addr); got != "" {
				t.Errorf("disconnected: %q", got)
			}
			if out, code := c.says("web", "nslookup", "guest"); code == 0 {
				t.Errorf("the name of one who has left: %s", out)
			}
			c.does("create", "--name", "late", "box", "sleep", "1000")
			c.does("network", "connect", "net", "late")
			c.does("start", "late")
			if got := c.gets("late", "web"); got != "web" {
				t.Errorf("connected before its start: %q", got)
			}
			c.does("stop", "-t", "0", "friend")
			if out, code := c.says("web", "nslookup", "friend"); code == 0 {
				t.Errorf("the name of one who was stopped: %s", out)
			}
			c.does("start", "friend")
			if got := c.gets("web", "friend"); got != "friend" {
				t.Errorf("started again: %q", got)
			}
			if out, code := c.run(c.cmd("network", "rm", "net")); code == 0 || !strings.Contains(out, "active endpoints") {
				t.Errorf("network rm: %d, %s", code, out)
			}
			mtu := c.does("network", "inspect", "--format", `{{index .Options "com.docker.network.driver.mtu"}}`, "bridge")
			if out, code := c.says("web", "cat", "/sys/class/net/eth0/mtu"); code != 0 || strings.TrimSpace(out) != mtu {
				t.Errorf("the MTU is said to be %q and is %q", mtu, out)
			}
			c.does("network", "create", "--opt", "com.docker.network.driver.mtu="+mtu, "brief")
			c.does("create", "--name", "lost", "--network", "brief", "box", "true")
			c.does("network", "rm", "brief")
			if out, code := c.run(c.cmd("start", "lost")); code == 0 || !strings.Contains(out, "network brief") {
				t.Errorf("in a network that is gone: %d, %s", code, out)
			}
			c.does("network", "disconnect", "brief", "lost")
			c.does("start", "lost")
			c.does("rm", "-f", "web", "friend", "stranger", "alone", "late", "lost")
			c.does("network", "rm", "net", "other")
		})
	}
}

// Three services as Compose makes them: web before, db behind on an internal network, app in both.
func TestThreeServices(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			c.does("network", "create", "--label", "com.docker.compose.project=shop", "shop_front")
			c.does("network", "create", "--label", "com.docker.compose.project=shop", "--internal", "shop_back")
			c.serves("shop-db-1", "--network", "shop_back", "--network-alias", "db")
			c.does("create", "--name", "shop-app-1", "--network", "name=shop_front,alias=app", "--network", "name=shop_back,alias=app",
				"box", "sh", "-c", "while :; do echo app | nc -l -p 80; done")
			c.does("start", "shop-app-1")
			c.serves("shop-web-1", "--network", "shop_front", "--network-alias", "web", "--link", "shop-app-1:backend", "-p", "8080:80")
			for _, x := range []struct{ from, target, want string }{
				{"shop-web-1", "app", "app"}, {"shop-web-1", "backend", "app"}, {"shop-app-1", "backend", ""}, {"shop-app-1", "db", "shop-db-1"}, {"shop-app-1", "web", "shop-web-1"},
				{"shop-db-1", "app", "app"}, {"shop-web-1", "db", ""}, {"shop-db-1", "web", ""},
				{"shop-web-1", c.address("shop-db-1", "shop_back"), ""},
				{"shop-db-1", c.address("shop-web-1", "shop_front"), ""},
			} {
				if got := c.gets(x.from, x.target); got != x.want {
					t.Errorf("%s asks %s: %q, want %q", x.from, x.target, got, x.want)
				}
			}
			e.eventually("the published port", func() bool { return e.hears("127.0.0.1:8080") == "shop-web-1" })
			if out, code := c.says("shop-db-1", "nslookup", "leak.example.org"); code == 0 || !strings.Contains(out, "NXDOMAIN") {
				t.Errorf("a name outside, asked from an internal network: %d, %s", code, out)
			}
			if out := c.does("network", "inspect", "--format", "{{range .Containers}}{{.Name}} {{end}}", "shop_back"); !strings.Contains(out,
				"shop-app-1") || !strings.Contains(out, "shop-db-1") || strings.Contains(out, "web") {
				t.Errorf("network inspect: %q", out)
			}
			c.does("rm", "-f", "shop-web-1", "shop-app-1", "shop-db-1")
			c.does("network", "prune", "-f")
			if out := c.does("network", "ls", "--format", "{{.Name}}"); out != "bridge\nnone" {
				t.Errorf("network ls: %q", out)
			}
		})
	}
}

// hears reads what a port says.
func (e *engine) hears(addr string) string {
	conn, err := e.dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 100)
	n, _ := conn.Read(buf)
	return strings.TrimSpace(string(buf[:n]))
}

// Networks outlive every process of the engine, and who is outside of them stays there.
func TestNetworksSurviveTheEngine(t *testing.T) {
	e := startEngine(t).withBusybox()
	c := e.bothClients()[0]
	c.does("network", "create", "net")
	c.serves("web", "--network", "net")
	c.serves("friend", "--network", "net")
	c.serves("alone")
	check := func(when string) {
		t.Helper()
		e.eventually("a member, "+when, func() bool { return c.gets("friend", "web") == "web" })
		if got := c.gets("alone", c.address("web", "net")); got != "" {
			t.Errorf("%s: one who is in no network reaches it: %q", when, got)
		}
	}
	check("at first")
	for _, program := range []string{"brigd", "brig-router", "brig-store", "brig-warden", "brig-worker"} {
		old := e.pid(program)
		if err := unix.Kill(old, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e.eventually("another "+program, func() bool { p := e.find(program); return p != 0 && p != old })
		check("after the end of " + program)
	}
	inner := *e
	inner.netns = e.routerNetns()
	defer unix.Close(inner.netns)
	for _, ns := range []*engine{e, &inner} {
		if err := ns.within(flushTables); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{c.address("web", "net"), "web"} {
		if got := c.gets("alone", target); got != "" {
			t.Errorf("without a rule, one who is in no network reaches %s: %q", target, got)
		}
	}
	e.stop()
	e.start()
	c.does("start", "web", "friend", "alone")
	check("after a restart of the engine")
	c.does("network", "rm", c.does("network", "create", "late"))
	if out, code := c.run(c.cmd("run", "--rm", "--network", "late", "box", "true")); code != 125 || !strings.Contains(out, "late") {
		t.Errorf("a network that was removed: %d, %s", code, out)
	}
}

// A container has its networks and its names again after its restart policy has started it, and while it is paused it
// changes them.
func TestNetworksOfRestartedAndPausedContainers(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			c.does("network", "create", "net")
			c.does("network", "create", "other")
			c.serves("web", "--network", "net", "--network-alias", "www", "--restart", "always")
			c.serves("friend", "--network", "net")
			c.serves("elsewhere", "--network", "other")
			pid := c.does("inspect", "--format", "{{.State.Pid}}", "web")
			c.does("restart", "-t", "0", "web")
			if pid == c.does("inspect", "--format", "{{.State.Pid}}", "web") {
				t.Error("web was not restarted")
			}
			e.eventually("web by its alias", func() bool { return c.gets("friend", "www") == "web" })
			c.does("pause", "web")
			c.does("network", "connect", "--alias", "there", "other", "web")
			c.does("network", "disconnect", "net", "web")
			c.does("unpause", "web")
			e.eventually("web, in the other network", func() bool { return c.gets("elsewhere", "there") == "web" })
			if got := c.gets("friend", "www"); got != "" {
				t.Errorf("web is in the network that it left: %q", got)
			}
			c.does("run", "-d", "--name", "often", "--network", "other", "--restart", "always", "box", "sh", "-c",
				"echo often | timeout 2 nc -l -p 80; sleep 0.3")
			e.eventually("another run of often", func() bool {
				return c.does("inspect", "--format", "{{gt .RestartCount 0}}", "often") == "true"
			})
			e.eventually("often, after a restart", func() bool { return c.gets("elsewhere", "often") == "often" })
			c.does("rm", "-f", "web", "friend", "elsewhere", "often")
			c.does("network", "rm", "net", "other")
		})
	}
}
