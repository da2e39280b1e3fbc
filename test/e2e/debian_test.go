package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// get fetches a page as a program on the host would; ok is false as long as nobody answers.
func (e *engine) get(address, path string) (body string, ok bool) {
	e.t.Helper()
	c, err := e.dial("tcp", address)
	if err != nil {
		return "", false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, address); err != nil {
		return "", false
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", false
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err == nil && res.StatusCode == http.StatusOK
}

// reaches waits until the page at address holds a text.
func (e *engine) reaches(address, path, want string) {
	e.t.Helper()
	e.eventually(address+path, func() bool {
		body, ok := e.get(address, path)
		return ok && strings.Contains(body, want)
	})
}

// exitCode is that of a container that has ended.
func (e *engine) exitCode(name string) string {
	e.t.Helper()
	return e.brig("inspect", "--format", "{{.State.ExitCode}}", name)
}

func TestDebianNginxServesAndLogs(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("nginx")
	e.brig("run", "-d", "--name", "web", "-p", "8080:80", "nginx")
	for _, address := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		e.reaches(address, "/", "Welcome to nginx")
	}
	if _, ok := e.get("127.0.0.1:8080", "/missing-page"); ok {
		t.Error("a page that is not there was served")
	}
	e.brig("exec", "web", "mkdir", "/var/www/html/closed")
	if _, ok := e.get("127.0.0.1:8080", "/closed/"); ok {
		t.Error("a directory without an index was served")
	}
	for _, want := range []string{`"GET / HTTP/1.0" 200`, `"GET /missing-page HTTP/1.0" 404`, "closed/\" is forbidden"} {
		e.eventually("the log has "+want, func() bool { return strings.Contains(e.brig("logs", "web"), want) })
	}
	owners := e.brig("exec", "web", "sh", "-c", "stat -c %U /proc/[0-9]*/ | sort -u")
	if !strings.Contains(owners, "www-data") {
		t.Errorf("the workers do not run as www-data: %q", owners)
	}
	begin := time.Now()
	e.brig("stop", "web")
	if d := time.Since(begin); d > 8*time.Second {
		t.Errorf("the image's stop signal had no effect: stop took %v", d)
	}
	if code := e.exitCode("web"); code != "0" {
		t.Errorf("exit code %s after its own stop signal", code)
	}
	e.brig("start", "web")
	e.reaches("127.0.0.1:8080", "/", "Welcome to nginx")
	e.brig("rm", "-f", "web")
}

func TestDebianRedisAnswersAndKeeps(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("redis")
	e.brig("run", "-d", "--name", "cache", "-p", "6379:6379", "-v", "kept:/data", "redis", "redis-server",
		"--protected-mode", "no", "--appendonly", "yes")
	e.eventually("redis", func() bool { return e.redis("PING") == "+PONG" })
	if got := e.redis("SET", "key", "value"); got != "+OK" {
		t.Fatalf("SET: %q", got)
	}
	if out := e.brig("exec", "cache", "redis-cli", "GET", "key"); out != "value" {
		t.Errorf("redis-cli in the container: %q", out)
	}
	if out := e.brig("exec", "cache", "stat", "-c", "%U", "/proc/1", "/data/appendonlydir"); out != "redis\nredis" {
		t.Errorf("owners of the process and its data: %q", out)
	}
	e.brig("stop", "cache")
	if code := e.exitCode("cache"); code != "0" {
		t.Errorf("exit code %s", code)
	}
	e.brig("start", "cache")
	e.eventually("the value after a restart", func() bool { return e.redis("GET", "key") == "$5 value" })
	e.brig("rm", "-f", "cache")
	e.brig("volume", "rm", "kept")
}

// redis sends one command through the published port and returns the reply's lines, or "" when nobody answers.
func (e *engine) redis(words ...string) string {
	e.t.Helper()
	c, err := e.dial("tcp", "127.0.0.1:6379")
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(c, "$%d\r\n%s\r\n", len(w), w)
	}
	r := bufio.NewReader(c)
	reply, err := r.ReadString('\n')
	if err == nil && reply[0] == '$' && reply[1] != '-' {
		var more string
		more, err = r.ReadString('\n')
		reply += more
	}
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(reply), " ")
}

func TestDebianPostgresKeepsItsDataInAVolume(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("postgres")
	e.brig("run", "-d", "--name", "db", "-v", "data:/var/lib/postgresql/data", "postgres")
	e.eventually("postgres", func() bool { return e.sql("db", "SELECT 1") == "1" })
	owners := e.brig("exec", "db", "stat", "-c", "%U", "/proc/1", "/var/lib/postgresql/data")
	if owners != "postgres\npostgres" {
		t.Errorf("owners of the process and its data: %q", owners)
	}
	if out := e.brig("exec", "db", "cat", "/proc/1/comm"); out != "postgres" {
		t.Errorf("process 1: %q", out)
	}
	e.sql("db", "CREATE TABLE kept AS SELECT n, md5(n::text) AS sum FROM generate_series(1, 20000) AS n")
	want := e.sql("db", "SELECT count(*), md5(string_agg(sum, ',' ORDER BY n)) FROM kept")
	if !strings.HasPrefix(want, "20000|") {
		t.Fatalf("the table: %q", want)
	}
	read := "SELECT count(*), md5(string_agg(sum, ',' ORDER BY n)) FROM kept"
	e.brig("stop", "db")
	if code := e.exitCode("db"); code != "0" {
		t.Errorf("exit code %s\n%s", code, e.brig("logs", "db"))
	}
	e.brig("start", "db")
	e.eventually("the data after a restart", func() bool { return e.sql("db", read) == want })
	if log := e.brig("logs", "db"); strings.Contains(log, "was not properly shut down") {
		t.Errorf("the stop was no clean one:\n%s", log)
	}
	e.brig("rm", "-f", "db")
	e.brig("run", "-d", "--name", "second", "-v", "data:/var/lib/postgresql/data", "postgres")
	e.eventually("the data in a second container", func() bool { return e.sql("second", read) == want })
	e.brig("rm", "-f", "second")
	e.brig("volume", "rm", "data")
}

// sql runs a statement through the server's socket, as its user.
func (e *engine) sql(container, statement string) string {
	e.t.Helper()
	out, code := e.run(e.brigCommand("exec", "-u", "postgres", container, "psql", "-qAtX", "-c", statement))
	if code != 0 {
		return ""
	}
	return out
}

// pythonWork uses what a sandbox likes to break: semaphores in /dev/shm, threads, processes, the kernel's random
// source, sockets of its own loopback, locks on files of a temporary directory.
const pythonWork = `
import hashlib, multiprocessing, os, socket, sqlite3, ssl, subprocess, tempfile, threading, zlib
with multiprocessing.Pool(4) as pool:
    assert sum(pool.map(abs, range(-100, 0))) == 5050
q = multiprocessing.Queue(); q.put(1); assert q.get() == 1
s = socket.create_server(("127.0.0.1", 0)); a = socket.create_connection(s.getsockname()); b, _ = s.accept()
a.sendall(b"over the loopback"); assert b.recv(64) == b"over the loopback"
with tempfile.NamedTemporaryFile() as f:
    db = sqlite3.connect(f.name); db.execute("create table t(x)"); db.commit()
t = threading.Thread(target=os.urandom, args=(16,)); t.start(); t.join()
assert subprocess.check_output(["id", "-u"]) == b"0\n"
assert os.getpid() == 1 and ssl.OPENSSL_VERSION
print(hashlib.sha256(zlib.compress(b"x" * 10**7)).hexdigest()[:8] != "")
`

func TestDebianPythonWorks(t *testing.T) {
	slow(t)
	e := startEngine(t)
	e.withDebian("python")
	cmd := e.brigCommand("run", "--rm", "-i", "python", "python3", "-")
	cmd.Stdin = strings.NewReader(pythonWork)
	if out := e.must(cmd); out != "True" {
		t.Errorf("%q", out)
	}
	e.brig("run", "-d", "--name", "files", "-p", "8000:8000", "-w", "/etc", "-u", "www-data", "python",
		"python3", "-u", "-m", "http.server")
	e.reaches("127.0.0.1:8000", "/os-release", "bookworm")
	// The answer and the line about it go different ways.
	e.eventually("the log", func() bool { return strings.Contains(e.brig("logs", "files"), "GET /os-release") })
	e.brig("rm", "-f", "files")
}

// TestPublishedMinimalImagesRun runs root file systems of Alpine and busybox as they are published: the archives
// NAME*.tar.gz in the directory BRIG_TEST_IMAGES.
func TestPublishedMinimalImagesRun(t *testing.T) {
	slow(t)
	dir := os.Getenv("BRIG_TEST_IMAGES")
	if dir == "" {
		t.Skip("missing: root file systems of Alpine and busybox (BRIG_TEST_IMAGES)")
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archive in %s: %v", dir, err)
	}
	e := startEngine(t)
	for i, path := range archives {
		t.Run(filepath.Base(path), func(t *testing.T) {
			e := e.with(t)
			name := fmt.Sprintf("published%d", i)
			e.brig("import", "--change", `CMD ["/bin/sh"]`, path, name)
			if out := e.brig("run", "--rm", name, "sh", "-c", "echo $0 $$ $(id -u)"); out != "sh 1 0" {
				t.Errorf("%q", out)
			}
			for _, command := range []string{
				"mkdir -p /a/b && echo x > /a/b/c && chmod 700 /a/b/c && rm -r /a && ! [ -e /a ]",
				"tar -c -f - -C / etc | tar -t -f - | grep -q etc/passwd",
				"ls -l /bin | wc -l && df / >/dev/null && ps >/dev/null && vi --help 2>&1 | head -n 1",
				"! mount -t tmpfs x /tmp 2>/dev/null",
			} {
				if out, code := e.run(e.brigCommand("run", "--rm", name, "sh", "-c", command)); code != 0 {
					t.Errorf("%s: exit code %d\n%s", command, code, out)
				}
			}
			if strings.HasPrefix(filepath.Base(path), "alpine") {
				if out := e.brig("run", "--rm", name, "apk", "info", "-e", "musl"); out != "musl" {
					t.Errorf("apk: %q", out)
				}
			}
		})
	}
}
