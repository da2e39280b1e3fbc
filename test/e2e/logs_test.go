package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// receivers are sockets of datagrams in a directory that brigd can walk through, as /dev/log and the journal's are.
func (e *engine) receiver(name string) (address string, lines chan string) {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	if err := os.Chmod(path, 0o666); err != nil {
		e.t.Fatal(err)
	}
	lines = make(chan string, 1000)
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			lines <- string(b[:n])
		}
	}()
	return "unixgram://" + path, lines
}

// TestLogDrivers: through both clients, with the real brigd, which has no privilege, a filter and a Landlock domain.
func TestLogDrivers(t *testing.T) {
	e := startEngine(t).withBusybox()
	address, lines := e.receiver("log")
	clients := map[string]func(args ...string) string{"brig": e.brig, "docker": e.docker}
	for name, client := range clients {
		for _, driver := range []string{"json-file", "local", "syslog"} {
			c := name + "-" + driver
			args := []string{"run", "--name", c, "--label", "team=a b", "-e", "A=1", "--log-driver", driver, "--log-opt", "labels=team",
				"--log-opt", "env=A", "--log-opt", "tag={{.Name}}/{{.ImageName}}"}
			if driver == "syslog" {
				args = append(args, "--log-opt", "syslog-address="+address, "--log-opt", "syslog-format=rfc5424micro",
					"--log-opt", "syslog-facility=local3")
			}
			client(append(args, "box", "sh", "-c", "echo one; echo two; printf three")...)
			if got := client("logs", c); got != "one\ntwo\nthree" {
				t.Errorf("%s: logs: %q", c, got)
			}
			if got, want := client("logs", "--details", "-n", "1", c), "A=1,tag="+c+"%2Fbox,team=a+b three"; got != want {
				t.Errorf("%s: details: %q, want %q", c, got, want)
			}
			if got := client("logs", "-t", "--since", "1h", "--until", "2099-01-01T00:00:00Z", c); strings.Count(got, "Z ") != 3 {
				t.Errorf("%s: timestamps: %q", c, got)
			}
			if got := client("logs", "--since", "2099-01-01T00:00:00Z", c); got != "" {
				t.Errorf("%s: since 2099: %q", c, got)
			}
			if got := client("inspect", "-f", "{{.HostConfig.LogConfig.Type}}", c); got != driver {
				t.Errorf("%s: inspect says %q", c, got)
			}
			if driver == "syslog" {
				for _, want := range []string{"one", "two", "three"} {
					select {
					case got := <-lines:
						if !strings.HasPrefix(got, "<158>1 ") || !strings.Contains(got, c+"/box") || !strings.HasSuffix(got, " - "+want+"\n") {
							t.Errorf("%s: %q came", c, got)
						}
					case <-time.After(10 * time.Second):
						t.Fatalf("%s: %q did not come", c, want)
					}
				}
			}
		}
		e.followed(name, client)
	}
	e.unreadable()
}

// followed reads a log that is written, and ends with it.
func (e *engine) followed(name string, client func(args ...string) string) {
	e.t.Helper()
	c := name + "-followed"
	client("run", "-d", "--name", c, "--log-driver", "local", "--log-opt", "max-size=64k", "--log-opt", "compress=true", "box", "sh", "-c",
		"i=0; while [ $i -lt 3000 ]; do echo line number $i of this container; i=$((i+1)); done; sleep 0.3; echo end")
	got := client("logs", "-f", c)
	if !strings.HasSuffix(got, "line number 2999 of this container\nend") {
		e.t.Errorf("%s: followed: it ends with %q", c, got[max(0, len(got)-80):])
	}
	if got := client("logs", "-n", "2900", c); strings.Count(got, "\n") != 2899 {
		e.t.Errorf("%s: the last 2900 lines, over compressed files, are %d", c, strings.Count(got, "\n")+1)
	}
}

// unreadable are the logs that nobody keeps, and the ones that nobody takes.
func (e *engine) unreadable() {
	e.t.Helper()
	for _, opts := range [][]string{{"--log-driver", "none"}, {"--log-driver", "syslog", "--log-opt", "syslog-address=udp://127.0.0.1:9",
		"--log-opt", "cache-disabled=true"}} {
		id := e.brig(append(append([]string{"create"}, opts...), "box", "true")...)
		e.refused(1, []string{"configured logging driver does not support reading"}, "logs", id)
		if out, code := e.run(e.dockerCommand("logs", id)); code != 1 || !strings.Contains(out,
			"configured logging driver does not support reading") {
			e.t.Errorf("docker logs: %d %s", code, out)
		}
	}
	for _, c := range []struct{ says, opts string }{
		{"failed to initialize logging driver: no syslog listens at " + e.dir + "/none", "syslog-address=unixgram://" + e.dir + "/none"},
		{"169.254.169.254 is an address of the machine's own surroundings", "syslog-address=udp://169.254.169.254"},
		{"brigd reads it as id 2147287041, without privileges, and may not", "syslog-tls-ca-cert=/etc/shadow"},
	} {
		args := []string{"run", "--rm", "--log-driver", "syslog", "--log-opt", c.opts}
		if strings.Contains(c.opts, "tls") {
			args = append(args, "--log-opt", "syslog-address=tcp+tls://127.0.0.1:9")
		}
		e.refused(125, []string{c.says}, append(args, "box", "true")...)
	}
	e.refused(125, []string{"unknown log opt 'shiny' for json-file log driver"}, "run", "--rm", "--log-opt", "shiny=1", "box", "true")
}
