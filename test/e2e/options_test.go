package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// clients run the same words through both command lines.
func (e *engine) clients() map[string]func(...string) *exec.Cmd {
	return map[string]func(...string) *exec.Cmd{"brig": e.brigCommand, "docker": e.dockerCommand}
}

// TestOptionsThroughBothCommandLines: what works does the same for brig and for docker. What is refused is refused in
// the same words; package policy tests all of these, here it is that they arrive.
func TestOptionsThroughBothCommandLines(t *testing.T) {
	e := startEngine(t).withBusybox()
	file := func(name, text string) string {
		path := filepath.Join(e.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env, labels := file("env", "# of a file\nFROM=file x\n"), file("labels", "from=file\n")
	if err := os.Mkdir(filepath.Join(e.dir, "host"), 0o755); err != nil {
		t.Fatal(err)
	}
	file("host/there", "")
	host := filepath.Join(e.dir, "host")
	for name, c := range map[string]struct {
		options []string
		program string
		want    string
	}{
		"files":      {[]string{"--env-file", env, "--label-file", labels, "-e", "A=b"}, "echo $FROM $A", "file x b"},
		"names":      {[]string{"-h", "web", "--domainname", "example.org"}, "hostname; cat /proc/sys/kernel/domainname", "web\nexample.org"},
		"groups":     {[]string{"-u", "worker", "--group-add", "extra", "--group-add", "77"}, "id -G", "1000 77 2000"},
		"annotation": {[]string{"--annotation", "a=b", "--annotation", "brig.level=standard"}, "echo yes", "yes"},
		"hosts": {[]string{"--add-host", "gw:host-gateway", "--add-host", "db:10.1.2.3"},
			"grep -c 'gw$' /etc/hosts; grep -w db /etc/hosts", "1\n10.1.2.3\tdb"},
		"resolver": {[]string{"--dns", "10.9.8.7", "--dns-search", "a.example", "--dns-option", "ndots:3"}, "cat /etc/resolv.conf",
			"nameserver 10.9.8.7\nsearch a.example\noptions ndots:3"},
		"sysctl": {[]string{"--sysctl", "net.ipv4.ip_default_ttl=33", "--sysctl", "kernel.shmmni=99"},
			"cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni", "33\n99"},
		"limits": {[]string{"--ulimit", "nofile=64:128", "--ulimit", "core=0", "--ulimit", "memlock=65536"},
			"grep -E 'open files|locked' /proc/self/limits | while read a b c d e f; do echo $d $e; done", "64 128\n65536 65536"},
		"core limit that stays": {nil, "ulimit -c 0 && ulimit -Hc 0 && grep core /proc/self/limits | while read a b c d e f; do echo $e $f; done", "1 1 bytes"},
		"shm":                   {[]string{"--shm-size", "1m"}, "df -k /dev/shm | tail -n 1 | while read a b c; do echo $b; done", "1024"},
		"tmpfs":                 {[]string{"--tmpfs", "/x:size=2m,mode=700,nosuid,relatime"}, "df -k /x | tail -n 1 | while read a b c; do echo $b; done; stat -c %a /x", "2048\n700"},
		"mount of tmpfs":        {[]string{"--mount", "type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1700"}, "stat -c %a /x; grep -c ' /x tmpfs' /proc/mounts", "1700\n1"},
		"mount of a bind": {[]string{"--mount", "type=bind,src=" + host + ",dst=/x,readonly,bind-propagation=rprivate,bind-recursive=readonly"},
			"ls /x; touch /x/new 2>/dev/null || echo read-only", "there\nread-only"},
		"mount of a volume": {[]string{"--mount", "type=volume,src=mounted,dst=/data,volume-nocopy,volume-label=a=b,volume-driver=local"},
			"ls /data; touch /data/new && echo written; rm /data/new", "written"},
		"tmpfs of a user": {[]string{"--tmpfs", "/x:uid=1000,gid=77,mode=750"}, "stat -c %u:%g:%a /x", "1000:77:750"},
		"mount of an image": {[]string{"--mount", "type=image,src=box,dst=/i", "--mount", "type=image,src=box,dst=/etc2,image-subpath=etc"},
			"stat -c %u /i/bin; cmp /i/etc/passwd /etc2/passwd && /i/bin/echo same; touch /i/x 2>/dev/null || echo read-only", "0\nsame\nread-only"},
		"bind, not recursive": {[]string{"--mount", "type=bind,src=" + host + ",dst=/x,bind-recursive=disabled"}, "ls /x", "there"},
		"bind":                {[]string{"-v", host + ":/x:ro,cached"}, "ls /x", "there"},
		"modes":               {[]string{"--ipc", "shareable", "--cgroupns", "private", "--isolation", "default", "--network", "name=none"}, "ls /sys/class/net", "lo"},
		"not asked":           {[]string{"--no-healthcheck", "--disable-content-trust", "--restart", "no", "--volume-driver", "local", "--pull", "never"}, "echo yes", "yes"},
		"umbrella":            {[]string{"--init", "--read-only", "--cap-drop", "ALL", "--security-opt", "writable-cgroups=false", "--stop-signal", "INT", "--stop-timeout", "3"}, "echo yes", "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			e := e.with(t)
			for client, command := range e.clients() {
				args := append(append([]string{"run", "--rm"}, c.options...), "box", "sh", "-c", c.program)
				if out, code := e.run(command(args...)); out != c.want || code != 0 {
					t.Errorf("%s %s: exit code %d, %q; want %q", client, strings.Join(args, " "), code, out, c.want)
				}
			}
		})
	}
	for option, want := range map[string]string{
		"--gpus all":                          "--gpus all,capabilities=gpu: no specification in /etc/cdi or /var/run/cdi has the device nvidia.com/gpu=all",
		"--device brig.test/none=x":           "--device brig.test/none=x: no specification in /etc/cdi or /var/run/cdi has the device brig.test/none=x",
		"--device-read-bps /dev/a:1m":         "/dev/a is no disk",
		"--isolation hyperv":                  "--isolation hyperv: not supported: it is for Windows",
		"--ipc container:x":                   "--ipc container:x: no such container: x",
		"--pid host":                          "--pid host: the rule no-host-namespace forbids it: ",
		"--cgroup-parent /x":                  "--cgroup-parent /x: the rule engine-cgroup forbids it: ",
		"--network name=bridge,gw-priority=3": "--network gw-priority 3: not supported: a container has one gateway",
		"--mount type=npipe,src=box,dst=/x":   "--mount type=npipe,target=/x: not supported: the types are bind, volume, tmpfs and image",
		"--mount type=image,src=none,dst=/x":  "--mount type=image,target=/x: there is no image none",
		"-v /x:/dev/x":                        "-v /dev/x: the rule own-mounts forbids it: ",
		"--tmpfs /x:uid=70000":                "--tmpfs /x:uid=70000: strconv.ParseUint",
		"--tmpfs /x:nr_inodes=3":              "--tmpfs /x:nr_inodes=3: not supported: a tmpfs has size, mode, uid, gid, exec and ro",
		"--volumes-from none":                 "--volumes-from none: No such container: none",
		"--annotation brig.level=loose":       "--annotation brig.level=loose: the levels are standard, strict and compat",
	} {
		for client, command := range e.with(t).clients() {
			out, code := e.run(command(append(append([]string{"run", "--rm"}, strings.Fields(option)...), "box", "true")...))
			if code != 125 || !strings.Contains(out, want) {
				t.Errorf("%s run %s: exit code %d, %s", client, option, code, out)
			}
		}
	}
}

// TestVolumesFromAnotherContainer through both command lines, and what becomes of the volumes afterwards.
func TestVolumesFromAnotherContainer(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("create", "--name", "owner", "-v", "named:/named", "-v", "/anon", "box", "true")
	e.brig("run", "--rm", "--volumes-from", "owner", "box", "sh", "-c", "echo one > /named/f; echo two > /anon/f")
	out := e.docker("run", "--rm", "--volumes-from", "owner:ro", "-v", "mine:/named", "box", "sh", "-c",
		"ls /named; cat /anon/f; touch /anon/g 2>/dev/null || echo read-only")
	if out != "two\nread-only" {
		t.Errorf("%q", out)
	}
	// The end of a --rm container leaves what another one holds.
	if out := e.brig("run", "--rm", "--volumes-from", "owner", "box", "cat", "/named/f", "/anon/f"); out != "one\ntwo" {
		t.Errorf("%q", out)
	}
	e.brig("create", "--name", "heir", "--volumes-from", "owner", "box", "true")
	e.brig("rm", "-v", "owner")
	if n := len(strings.Fields(e.brig("volume", "ls", "-q"))); n != 3 {
		t.Errorf("%d volumes while the heir holds them, not 3", n)
	}
	if out := e.docker("inspect", "-f", "{{.HostConfig.VolumesFrom}} {{len .Mounts}}", "heir"); out != "[owner] 2" {
		t.Errorf("inspect: %s", out)
	}
	e.brig("rm", "-v", "heir")
	if out := e.brig("volume", "ls", "-q"); out != "mine\nnamed" {
		t.Errorf("volumes that are left: %q", out)
	}
}

// TestAFreePortOfARange: each container gets the first one that nobody has, and none if there is none.
func TestAFreePortOfARange(t *testing.T) {
	e := startEngine(t).withBusybox()
	const ports = "41000-41002:80"
	port := func(name string) string {
		out := e.docker("inspect", "-f", `{{range (index .NetworkSettings.Ports "80/tcp")}}{{.HostPort}} {{end}}`, name)
		first, _, _ := strings.Cut(out, " ")
		return first
	}
	e.brig("run", "-d", "--name", "p0", "-p", ports, "box", "sleep", "1000")
	e.docker("run", "-d", "--name", "p1", "-p", ports, "box", "sleep", "1000")
	e.brig("run", "-d", "--name", "p2", "-p", ports, "box", "sleep", "1000")
	for i, name := range []string{"p0", "p1", "p2"} {
		if got := port(name); got != []string{"41000", "41001", "41002"}[i] {
			t.Errorf("%s has port %s", name, got)
		}
	}
	e.refused(125, []string{"-p 41000-41002:80/tcp: none of these ports is free"}, "run", "--rm", "-p", ports, "box", "true")
	// A range is asked for anew at each start.
	e.brig("rm", "-f", "p0")
	e.brig("restart", "-t", "0", "p2")
	if got := port("p2"); got != "41000" {
		t.Errorf("after its restart p2 has port %s", got)
	}
	// Two ports inside never get the same one outside.
	e.brig("run", "-d", "--name", "pair", "-p", "41010-41011:80", "-p", "41010-41011:81", "box", "sleep", "1000")
	if out := e.brig("port", "pair"); !strings.Contains(out, "80/tcp -> 0.0.0.0:41010") || !strings.Contains(out, "81/tcp -> 0.0.0.0:41011") {
		t.Errorf("%s", out)
	}
	e.brig("rm", "-f", "p1", "p2", "pair")
}

// TestPartsOfVolumesAndImages: a part is what it was when the container started, wherever links lead; and what is mounted
// is held.
func TestPartsOfVolumesAndImages(t *testing.T) {
	e := startEngine(t).withBusybox()
	for _, c := range e.bothClients() {
		t.Run(c.name, func(t *testing.T) {
			c.engine = e.with(t)
			c.does("run", "--rm", "-v", "vol:/v", "box", "sh", "-c", "mkdir -p /v/a/b; echo one > /v/a/b/f; ln -s / /v/out; ln -s a /v/in; chown -R 5:6 /v/a")
			part := func(sub string) (string, int) {
				return c.run(c.cmd("run", "--rm", "--mount", "type=volume,src=vol,dst=/x,volume-subpath="+sub, "box", "sh", "-c", "ls /x; cat /x/f /x/b/f 2>/dev/null; stat -c %u:%g /x; echo w > /x/w; rm /x/w"))
			}
			for sub, want := range map[string]string{"a/b": "f\none\n5:6", "in/b": "f\none\n5:6", "out/a": "b\none\n5:6"} {
				if out, code := part(sub); out != want || code != 0 {
					t.Errorf("%s: exit code %d, %q", sub, code, out)
				}
			}
			if out, code := c.run(c.cmd("run", "--rm", "--mount", "type=volume,src=vol,dst=/x,volume-subpath=a/b/f", "box", "cat", "/x")); out != "one" || code != 0 {
				t.Errorf("a file: exit code %d, %q", code, out)
			}
			for sub, want := range map[string]string{"none": `nothing that could be mounted is at "none" of volume vol`, "out/etc": "nothing that could be mounted", "../x": "is a relative path without ..", "/a": "is a relative path without .."} {
				if out, code := part(sub); code != 125 || !strings.Contains(out, want) {
					t.Errorf("%s: exit code %d, %s", sub, code, out)
				}
			}
			c.does("tag", "box", "mounted")
			c.does("create", "--name", "holder", "--mount", "type=image,src=mounted,dst=/i", "brig-probe", "x")
			c.does("create", "--name", "heir", "--volumes-from", "holder", "box", "ls", "/i/bin/busybox")
			c.does("rm", "holder")
			if out := c.does("inspect", "--format", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}", "heir"); out != "image mounted /i false" {
				t.Errorf("inspect: %s", out)
			}
			if out := c.does("start", "-a", "heir"); out != "/i/bin/busybox" {
				t.Errorf("%s", out)
			}
			c.does("cp", "heir:/i/etc/passwd", filepath.Join(e.dir, "passwd"))
			c.does("rm", "heir")
			c.does("rmi", "mounted")
			c.does("volume", "rm", "vol")
		})
	}
}

// What the engine says it would refuse is what it refuses, and asking makes nothing.
func TestPolicyCheckIsWhatRunSays(t *testing.T) {
	e := startEngine(t).withBusybox()
	if out := e.brig("policy", "check", "run", "--rm", "--name", "x", "--ulimit", "nofile=64:64", "box", "true"); !strings.HasPrefix(out, "allowed") {
		t.Errorf("a harmless command line: %s", out)
	}
	hostile := []string{"--privileged", "--pid", "host", "--ulimit", "core=-1", "--cgroup-parent", "/x", "box", "true"}
	e.refused(1, []string{"refused: --privileged", "refused: --pid host", "refused: --ulimit core", "refused: --cgroup-parent"},
		append([]string{"policy", "check", "run"}, hostile...)...)
	e.refused(125, []string{"--privileged", "--pid host", "--ulimit core", "--cgroup-parent"}, append([]string{"run"}, hostile...)...)
	e.refused(125, []string{"No such image"}, "policy", "check", "create", "nothing")
	if out := e.brig("ps", "-aq"); out != "" {
		t.Errorf("a check has made a container: %s", out)
	}
}
