package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// answers tells whether a published port says hello.
func (e *engine) answers(addr string) bool {
	c, err := e.dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	b, _ := io.ReadAll(c)
	return string(b) == "hello\n"
}

// What speaks netlink for everybody is not root, and keeps the two capabilities that it lives on: on every thread, in
// every set, and in no namespace but the host's.
func TestTheRouterHasTwoCapabilities(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "--rm", "box", "true") // past the start-up, in which it has a third
	pid := e.pid("brig-router")
	home, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", e.pid("brig-warden")))
	if err != nil {
		t.Fatal(err)
	}
	const id, two, none = "2147287042", "0000000000001400", "0000000000000000"
	want := map[string]string{"Uid": strings.Repeat(id+" ", 4), "Gid": strings.Repeat(id+" ", 4), "Groups": "", "CapInh": none,
		"CapPrm": two, "CapEff": two, "CapBnd": two, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "2"}
	everyThread(t, pid, want)
	if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || ns != home {
		t.Errorf("it is in %s (%v), want %s", ns, err, home)
	}
}

// everyThread holds /proc/PID/task/*/status against what it has to say.
func everyThread(t *testing.T, pid int, want map[string]string) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile(thread + "/status")
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for line := range strings.Lines(string(status)) {
			name, value, _ := strings.Cut(line, ":")
			value = strings.Join(strings.Fields(value), " ")
			if w, ok := want[name]; ok {
				if seen++; value != strings.TrimSpace(w) {
					t.Errorf("%s: %s is %q, want %q", thread, name, value, w)
				}
			}
		}
		if seen != len(want) {
			t.Errorf("%s: %d of %d lines are there", thread, seen, len(want))
		}
	}
}

func TestAKilledRouterIsReplacedAndNoContainerNotices(t *testing.T) {
	e := startEngine(t).withBusybox()
	serve := func(name, port string) {
		e.brig("run", "-d", "--name", name, "-p", port+":80", "box", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
		e.eventually(name, func() bool { return e.answers("127.0.0.1:" + port) })
	}
	serve("before", "9000")
	e.brig("run", "-d", "--name", "ends", "-p", "9001:80", "box", "sleep", "1000")
	for range 3 {
		old := e.pid("brig-router")
		if err := unix.Kill(old, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e.eventually("the port", func() bool { return e.answers("127.0.0.1:9000") })
		e.eventually("another router", func() bool { p := e.find("brig-router"); return p != 0 && p != old })
		e.eventually("the port", func() bool { return e.answers("127.0.0.1:9000") })
	}
	e.refused(125, []string{"9000", "in use"}, "run", "--rm", "-p", "9000:80", "box", "true")
	// What the old router published, the new one withdraws: the port is free for the next container.
	e.brig("rm", "-f", "ends")
	serve("after", "9001")
	addresses := map[string]bool{}
	for i := range 20 { // those of the pool, and those made since
		name := fmt.Sprintf("p%d", i)
		e.brig("run", "-d", "--name", name, "box", "sleep", "1000")
		addresses[e.brig("inspect", "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)] = true
	}
	for _, name := range []string{"before", "after"} {
		addresses[e.brig("inspect", "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)] = true
	}
	if len(addresses) != 22 {
		t.Errorf("22 containers have %d addresses: %v", len(addresses), addresses)
	}
	e.stop()
	e.nothingIsLeft()
	e.start()
}

// A router that ends whenever it is there is given up in favour of an engine that goes on without; containers do not notice.
func TestARouterThatEndsAllTheTimeLeavesAnEngineWithoutNetwork(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "lives", "box", "sleep", "1000")
	last := 0
	for range 4 {
		e.eventually("another router", func() bool {
			p := e.find("brig-router")
			if p == 0 || p == last {
				return false
			}
			last = p
			return unix.Kill(p, unix.SIGKILL) == nil
		})
	}
	// One that was opening the network when it was killed "is gone", the others have "ended".
	e.eventually("the end of the last", func() bool { return strings.Count(e.log(), "brig-warden: network: brig-router ") == 4 })
	e.eventually("an engine", func() bool { _, code := e.run(e.brigCommand("ps")); return code == 0 })
	e.brig("run", "--rm", "--network", "none", "box", "true")
	e.refused(125, []string{"network", "none"}, "run", "--rm", "box", "true")
	if out := e.brig("exec", "lives", "echo", "still"); out != "still" {
		t.Errorf("%q", out)
	}
	e.brig("rm", "-f", "lives")
	e.stop()
	e.start()
	e.brig("run", "--rm", "box", "true")
}

// nothingIsLeft looks for what a stopped engine could leave in the host's network.
func (e *engine) nothingIsLeft() {
	e.t.Helper()
	for _, program := range []string{"brigd", "brig-router", "brig-store", "brig-warden", "brig-keeper"} {
		if e.runs(program) {
			e.t.Errorf("%s still runs", program)
		}
	}
	err := e.within(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "brig") {
				e.t.Errorf("the interface %s is left", l.Attrs().Name)
			}
		}
		c, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := c.ListTables()
		for _, table := range tables {
			e.t.Errorf("the table %s is left", table.Name)
		}
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// What other programs take away on the host comes back by what the router has in its steady state: its table, its end of
// the pair with settings, routes and programs.
func TestTheRouterHealsTheHostsSide(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "web", "-p", "9000:80", "box", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
	e.eventually("the port", func() bool { return e.answers("127.0.0.1:9000") })
	pid := e.pid("brig-router")
	err := e.within(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "brig") {
				err = netlink.LinkDel(l)
			}
		}
		if err != nil {
			return err
		}
		return flushTables()
	})
	if err != nil {
		t.Fatal(err)
	}
	if e.answers("127.0.0.1:9000") {
		t.Error("the port answers without a way to the container: the test could not fail")
	}
	e.eventually("the port", func() bool { return e.answers("127.0.0.1:9000") })
	if now := e.pid("brig-router"); now != pid {
		t.Errorf("it took another router\n%s", e.log())
	}
}

// The router's own table it cannot heal: it ends, and the next one writes it.
func TestALostTableIsWrittenByTheNextRouter(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "web", "-p", "9000:80", "box", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
	e.eventually("the port", func() bool { return e.answers("127.0.0.1:9000") })
	pid := e.pid("brig-router")
	inner := *e
	inner.netns = e.routerNetns()
	defer unix.Close(inner.netns)
	err := inner.within(flushTables)
	if err != nil {
		t.Fatal(err)
	}
	e.run(e.brigCommand("run", "--rm", "box", "true")) // finds the table gone
	e.eventually("another router", func() bool { p := e.find("brig-router"); return p != 0 && p != pid })
	e.brig("run", "--rm", "box", "true")
	e.eventually("the port", func() bool { return e.answers("127.0.0.1:9000") })
}

// flushTables takes every rule from the network namespace that it runs in.
func flushTables() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.FlushRuleset()
	return c.Flush()
}

// routerNetns opens the router's namespace, which the warden holds.
func (e *engine) routerNetns() int {
	e.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", e.pid("brig-warden"))
	fds, err := filepath.Glob(proc + "fd/*")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); !strings.HasPrefix(to, "net:") {
			continue
		}
		other := *e
		if other.netns, err = unix.Open(fd, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			continue // a sandbox that was given away
		}
		if other.within(func() error { _, err := netlink.LinkByName("uplink"); return err }) == nil {
			return other.netns
		}
		unix.Close(other.netns)
	}
	e.t.Fatal("the warden holds no router's namespace")
	return -1
}
