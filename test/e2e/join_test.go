package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const allOf = "for n in user net ipc pid mnt uts cgroup; do readlink /proc/self/ns/$n; done"

// shares tells which namespaces two containers have in common.
func (c client) shares(a, b string) string {
	c.t.Helper()
	one := strings.Fields(c.does("exec", a, "sh", "-c", allOf))
	two := strings.Fields(c.does("exec", b, "sh", "-c", allOf))
	var same []string
	for i := range one {
		if one[i] == two[i] {
			kind, _, _ := strings.Cut(one[i], ":")
			same = append(same, kind)
		}
	}
	return strings.Join(same, " ")
}

func (c client) starts(name string, options ...string) {
	c.t.Helper()
	c.does(append(append([]string{"run", "-d", "--name", name}, options...), "box", "sleep", "1000")...)
}

// A container that joins another one shares what it asks for and the user namespace, and nothing else.
func TestJoinedNamespaces(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			c.starts("owner", "--ipc", "shareable", "--hostname", "ownerhost", "--add-host", "friend:10.9.8.7")
			for _, j := range []struct{ option, shared string }{
				{"--network container:owner", "user net"}, {"--ipc container:owner", "user ipc"}, {"--pid container:owner", "user pid"},
				{"--network container:owner --ipc container:owner --pid container:owner", "user net ipc pid"},
			} {
				c.starts("joiner", strings.Fields(j.option)...)
				if got := c.shares("owner", "joiner"); got != j.shared {
					t.Errorf("%s: shared are %s", j.option, got)
				}
				if got := c.does("exec", "joiner", "id", "-u"); got != "0" {
					t.Errorf("%s: id %s", j.option, got)
				}
				masked := c.does("exec", "joiner", "sh", "-c", "cat /proc/keys /proc/timer_list /proc/interrupts | wc -c; ls /sys/firmware; grep Seccomp: /proc/self/status; (echo 1 > /proc/sys/vm/drop_caches) 2>&1; true")
				if !strings.HasPrefix(masked, "0\nSeccomp:\t2\n") || !strings.Contains(masked, "Read-only file system") {
					t.Errorf("%s: what the engine hides: %q", j.option, masked)
				}
				c.does("rm", "-f", "joiner")
			}
			c.does("rm", "-f", "owner")
		})
	}
}

// What comes with a namespace: the network's addresses, names and ports, /dev/shm and queues, processes to see and signal.
func TestWhatComesWithAJoinedNamespace(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			c.does("network", "create", "net")
			c.starts("owner", "--network", "net", "--ipc", "shareable", "--hostname", "ownerhost", "--add-host", "friend:10.9.8.7", "-p", "8090:80")
			c.serves("web", "--network", "container:owner")
			c.starts("other", "--network", "net")
			if got := c.gets("other", "owner"); got != "web" {
				t.Errorf("a neighbour asks the owner's name: %q", got)
			}
			if got := c.gets("owner", "127.0.0.1"); got != "web" {
				t.Errorf("the owner asks itself: %q", got)
			}
			e.eventually("the owner's port", func() bool {
				conn, err := e.dial("tcp", "127.0.0.1:8090")
				if err != nil {
					return false
				}
				defer conn.Close()
				b := make([]byte, 3)
				conn.Read(b)
				return string(b) == "web"
			})
			for _, file := range []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} {
				if a, b := c.does("exec", "owner", "cat", file), c.does("exec", "web", "cat", file); a != b || a == "" {
					t.Errorf("%s: %q and %q", file, a, b)
				}
			}
			c.does("exec", "owner", "sh", "-c", "echo 10.1.2.3 later >> /etc/hosts")
			if got := c.does("exec", "web", "sh", "-c", "hostname; grep later /etc/hosts; nslookup other > /dev/null && echo ok"); got != "ownerhost\n10.1.2.3 later\nok" {
				t.Errorf("%q", got)
			}
			if got := c.does("inspect", "--format", "{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Networks}} {{.Config.Hostname}}", "web"); got !=
				"container:"+c.does("inspect", "--format", "{{.ID}}", "owner")+" 0 ownerhost" {
				t.Errorf("inspect: %q", got)
			}
			out, code := c.run(c.cmd("network", "connect", "net", "web"))
			if code != 1 || !strings.Contains(out, "container sharing network namespace with another container or host cannot be connected to any other network") {
				t.Errorf("connect: %d %s", code, out)
			}

			c.starts("queue", "--ipc", "container:owner")
			c.does("exec", "owner", "sh", "-c", "echo here > /dev/shm/x")
			if got := c.does("exec", "queue", "sh", "-c", "cat /dev/shm/x; echo back > /dev/shm/y; grep -c /dev/shm /proc/mounts"); got != "here\n2" {
				t.Errorf("/dev/shm: %q", got)
			}
			if got := c.does("exec", "owner", "cat", "/dev/shm/y"); got != "back" {
				t.Errorf("/dev/shm, the other way: %q", got)
			}
			if out, code := c.run(c.cmd("run", "--rm", "--ipc", "container:other", "box", "true")); code != 125 || !strings.Contains(out, "non-shareable IPC") {
				t.Errorf("private: %d %s", code, out)
			}

			c.starts("looker", "--pid", "container:owner")
			if got := c.does("exec", "looker", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; ls /proc/1/root 2>&1; true"); !strings.HasPrefix(got, "sleep 1000") || !strings.Contains(got, "ermission denied") {
				t.Errorf("the owner's process 1: %q", got)
			}
			if got := c.does("run", "--rm", "--pid", "container:owner", "--cap-add", "SYS_PTRACE", "box", "cat", "/proc/1/root/etc/hostname"); got != "ownerhost" {
				t.Errorf("with SYS_PTRACE: %q", got)
			}
			if got := c.does("run", "--rm", "--ipc", "none", "box", "sh", "-c", "grep -c /dev/shm /proc/mounts; ls /dev/shm"); got != "0" {
				t.Errorf("--ipc none: %q", got)
			}
			if got := c.does("top", "looker"); strings.Count(got, "sleep") != 1 {
				t.Errorf("top: %s", got)
			}
			c.does("exec", "looker", "kill", "1") // sleep has no handler: process 1 of a namespace does not mind
			c.does("rm", "-f", "owner", "web", "other", "queue", "looker")
			c.does("network", "rm", "net")
		})
	}
}

// The order of lives: who joins needs an owner that runs; who shares its processes ends with it; the others go on alone.
func TestOwnersAndJoiners(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			says := func(want string, args ...string) {
				t.Helper()
				if out, code := c.run(c.cmd(args...)); code == 0 || !strings.Contains(out, want) {
					t.Errorf("%v: exit code %d, does not say %q:\n%s", args, code, want, out)
				}
			}
			says("no such container: nobody", "run", "--rm", "--network", "container:nobody", "box", "true")
			c.does("network", "create", "net")
			c.serves("web", "--network", "net")
			c.does("create", "--name", "owner", "--network", "net", "box", "sleep", "1000")
			c.does("create", "--name", "net", "--network", "container:owner", "box", "sleep", "1000")
			c.does("create", "--name", "pid", "--pid", "container:owner", "box", "sh", "-c", "sleep 1001 & sleep 1000")
			says("cannot join network namespace of a non running container: container owner is created", "start", "net")
			says("cannot join PID namespace of a non running container: container owner is created", "start", "pid")
			says("conflicting options: port publishing and the container type network mode", "run", "--network", "container:owner", "-p", "80:80", "box", "true")
			says("conflicting options: hostname and the network mode", "run", "--network", "container:owner", "--hostname", "h", "box", "true")
			c.does("start", "owner")
			c.does("start", "net", "pid")
			c.does("rename", "owner", "boss")
			if got := c.shares("boss", "net"); got != "user net" {
				t.Errorf("shared: %s", got)
			}
			if got := c.gets("net", "web"); got != "web" {
				t.Errorf("who joined reaches the owner's neighbour: %q", got)
			}
			web := c.address("web", "net")
			c.does("stop", "-t", "0", "boss")
			e.eventually("the end of who shares its processes", func() bool { return c.does("ps", "-q", "--filter", "name=pid") == "" })
			if got := c.does("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "pid"); got != "exited 137" {
				t.Errorf("it ended: %s", got)
			}
			if got := c.does("inspect", "--format", "{{.State.Status}}", "net"); got != "running" {
				t.Errorf("who shares its network: %s", got)
			}
			if got := c.gets("net", web); got != "" {
				t.Errorf("the network of an owner that has ended still leads somewhere: %q", got)
			}
			says("cannot join PID namespace of a non running container: container boss is exited", "start", "pid")
			c.does("start", "boss")
			c.does("start", "pid")
			if got := c.shares("boss", "net"); got != "" {
				t.Errorf("the owner's next run shares %s with who joined the one before", got)
			}
			c.does("restart", "-t", "0", "net")
			if got := c.shares("boss", "net"); got != "user net" {
				t.Errorf("shared after a restart: %s", got)
			}
			c.does("stop", "-t", "0", "pid") // its children end with it, the owner goes on
			if got := c.does("exec", "boss", "ps"); strings.Contains(got, "sleep 1001") {
				t.Errorf("a stopped container's processes are still in the owner's namespace:\n%s", got)
			}
			c.does("rm", "-f", "boss")
			c.does("exec", "net", "true")
			says("joining network namespace of container: No such container: ", "restart", "-t", "0", "net")
			c.does("rm", "-f", "net", "pid", "web")
			c.does("network", "rm", "net")
		})
	}
}

// Files of who joins have the owner's ids, whoever made them, and go with it to cp, diff, volumes and binds.
func TestFilesOfJoiners(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "f"), []byte("from the host\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			c.starts("owner", "-v", "shared:/data")
			c.does("create", "--name", "joiner", "--network", "container:owner", "-v", "shared:/data", "-v", dir+":/host", "box", "sleep", "1000")
			c.does("cp", filepath.Join(dir, "f"), "joiner:/before")
			c.does("start", "joiner")
			c.does("exec", "owner", "sh", "-c", "echo o > /data/o; chown 33:44 /data/o")
			if got := c.does("exec", "joiner", "sh", "-c", "cat /before /host/f; stat -c %u:%g /data/o; echo j > /data/j; echo j > /host/j; echo j > /made; stat -c %u:%g /made"); got !=
				"from the host\nfrom the host\n33:44\n0:0" {
				t.Errorf("%q", got)
			}
			if got := c.does("exec", "owner", "stat", "-c", "%u:%g", "/data/j"); got != "0:0" {
				t.Errorf("the volume, seen by the owner: %q", got)
			}
			c.does("cp", "joiner:/made", filepath.Join(dir, "made"))
			if got := c.does("diff", "joiner"); !strings.Contains(got, "A /made") || !strings.Contains(got, "A /before") {
				t.Errorf("diff: %s", got)
			}
			c.does("rm", "-f", "owner")
			c.does("stop", "-t", "0", "joiner")
			c.does("cp", "joiner:/made", filepath.Join(dir, "after"))
			if b, err := os.ReadFile(filepath.Join(dir, "after")); err != nil || string(b) != "j\n" {
				t.Errorf("after the owner: %q %v", b, err)
			}
			c.does("rm", "joiner")
			c.does("volume", "rm", "shared")
		})
	}
}

// A sandbox survives the engine's processes, and its range of ids belongs to it until the last member is gone.
func TestSandboxesSurviveTheEngine(t *testing.T) {
	e := startEngine(t).withBusybox()
	c := e.bothClients()[0]
	c.starts("owner", "--ipc", "shareable")
	c.starts("joiner", "--network", "container:owner", "--ipc", "container:owner", "--pid", "container:owner")
	first := func(name string) string {
		_, outside, _ := strings.Cut(strings.Join(strings.Fields(c.does("exec", name, "cat", "/proc/self/uid_map")), " "), " ")
		return outside
	}
	ids := first("owner")
	for _, victim := range []string{"brigd", "brig-warden", "brig-router"} {
		e.killed(victim)
		if got := c.shares("owner", "joiner"); got != "user net ipc pid" {
			t.Errorf("after kill -9 of %s: shared are %s", victim, got)
		}
	}
	c.does("stop", "-t", "0", "joiner")
	e.killed("brig-warden")
	c.does("start", "joiner")
	if got := c.shares("owner", "joiner"); got != "user net ipc pid" || first("joiner") != ids {
		t.Errorf("started by another warden: shared are %s, ids %s and %s", got, ids, first("joiner"))
	}
	c.does("rm", "-f", "owner")
	e.killed("brig-warden")
	for i := range 40 { // ids are given round robin: none of these has what the joiner's files have
		name := fmt.Sprint("other", i)
		c.starts(name, "--network", "none")
		if got := first(name); got == ids {
			t.Fatalf("a stranger has the ids of a sandbox that has a member: %s", got)
		}
	}
	c.does("cp", "joiner:/etc", e.dir+"/etc")
	c.does("rm", "joiner")
}

// Restart policies: who joins waits for an owner that is about to start again, and comes up with it.
func TestJoinersRestartAfterTheirOwners(t *testing.T) {
	e := startEngine(t).withBusybox()
	c := e.bothClients()[0]
	c.starts("owner", "--restart", "always", "--ipc", "shareable")
	c.starts("joiner", "--restart", "always", "--pid", "container:owner", "--ipc", "container:owner")
	state := func(name string) string {
		return c.does("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", name)
	}
	pid, err := strconv.Atoi(c.does("inspect", "--format", "{{.State.Pid}}", "owner"))
	if err != nil || unix.Kill(pid, unix.SIGKILL) != nil {
		t.Fatal("the owner's process 1 cannot be killed")
	}
	e.eventually("both run again", func() bool { return state("owner") == "running 1" && state("joiner") == "running 1" })
	if got := c.shares("owner", "joiner"); got != "user ipc pid" {
		t.Errorf("shared: %s", got)
	}
	e.stop()
	e.start()
	e.eventually("both run with the next engine", func() bool {
		return strings.HasPrefix(state("owner"), "running") && strings.HasPrefix(state("joiner"), "running")
	})
	if got := c.shares("owner", "joiner"); got != "user ipc pid" {
		t.Errorf("shared in the next engine: %s", got)
	}
}

// Nobody moves what the engine has put into a container, so that another one finds something else there; and a joiner
// whose image has a directory in the place of a file is not started.
func TestWhatIsSharedStaysInItsPlace(t *testing.T) {
	e := startEngine(t).withBusybox()
	c := e.bothClients()[0]
	c.starts("owner", "--ipc", "shareable")
	if out, code := c.says("owner", "sh", "-c", "rm /etc/hosts || mv /etc/hosts /etc/x || mv -f /dev/shm /dev/y || rmdir /dev/shm || umount /etc/hosts"); code == 0 {
		t.Errorf("an owner has moved its files: %s", out)
	}
	c.does("exec", "owner", "sh", "-c", "echo 10.9.9.9 mine > /etc/hosts; mkfifo /dev/shm/fifo; ln -s /proc /dev/shm/proc")
	got := c.does("run", "--rm", "--network", "container:owner", "--ipc", "container:owner", "box", "sh", "-c",
		"cat /etc/hosts; ls /dev/shm; cat /dev/shm/proc/keys /dev/shm/proc/timer_list | wc -c; grep ' /dev/shm ' /proc/mounts | tail -n 1 | cut -d ' ' -f 4 | cut -d , -f 1-4")
	if got != "10.9.9.9 mine\nfifo\nproc\n0\nrw,nosuid,nodev,noexec" {
		t.Errorf("%q", got)
	}
	c.does("rm", "-f", "owner")
}

// An init in the process namespace of another container is not process 1 there, and ends with its program all the same.
func TestInitInAnotherProcessNamespace(t *testing.T) {
	e := startEngine(t).withBusybox()
	c := e.bothClients()[0]
	c.starts("owner")
	if out, code := c.run(c.cmd("run", "--rm", "--init", "--pid", "container:owner", "box", "sh", "-c", "(sleep 1000 &); echo ok; exit 3")); out != "ok" || code != 3 {
		t.Errorf("exit code %d, %q", code, out)
	}
	e.eventually("the orphan's end", func() bool { return strings.Count(c.does("exec", "owner", "ps"), "sleep 1000") == 1 })
	c.does("rm", "-f", "owner")
}

// TestAnExecutionInASharedPidNamespaceHoldsUpNoEnd: process 1 of a pid namespace ends only when all of it is reaped, also
// what was executed in a container that had joined it and is removed.
func TestAnExecutionInASharedPidNamespaceHoldsUpNoEnd(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, again := range []bool{false, true} {
		e.brig("run", "-d", "--name", "owner", "box", "sleep", "1000")
		e.brig("run", "-d", "--name", "joiner", "--pid", "container:owner", "box", "sleep", "1000")
		e.brig("exec", "-d", "joiner", "sleep", "1000")
		if again {
			e.brig("kill", "joiner")
			e.brig("start", "joiner")
		}
		e.brig("rm", "-f", "joiner")
		began := time.Now()
		e.brig("rm", "-f", "owner")
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("again: %v: the end of the owner took %v", again, d)
		}
	}
}
