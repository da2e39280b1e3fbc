package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// api is the engine's API as a client sees it that is not docker.
func (e *engine) api() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", e.socket)
	}}}
}

func (e *engine) put(name, path string, body io.Reader) (int, string) {
	e.t.Helper()
	req, err := http.NewRequest("PUT", "http://brig/containers/"+name+"/archive?path="+path, body)
	if err != nil {
		e.t.Fatal(err)
	}
	res, err := e.api().Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// CVE-2018-15664, CVE-2026-41568, CVE-2026-42306: while cp runs both ways, a program in the container exchanges a directory
// and a link to the host's canary, and the directory that a volume is mounted on (with its parent) and another such link.
// The host's directory stays as it is, byte for byte and name for name, and its text reaches nobody.
func TestCopiesNeverLeaveTheContainer(t *testing.T) {
	e := startEngine(t).withBusybox()
	canary := filepath.Join(e.dir, "canary")
	e.sh(e.dir, "mkdir -p canary/sub; echo secret-of-the-host > canary/file; echo secret-of-the-host > canary/sub/file; chmod -R a+rwX canary; mkdir -p put/sub; echo written > put/file; echo written > put/sub/file")
	before := e.tree(canary)
	up := strings.Repeat("../", 20) + canary[1:]
	e.brig("run", "-d", "--name", "swap", "-v", "vol:/vols/data", "box", "sh", "-c",
		"mkdir -p /w/dir/sub; echo mine > /w/dir/file; echo mine > /w/dir/sub/file; busybox ln -s "+canary+" /w/abs; busybox ln -s "+up+" /w/rel; touch /ready; "+
			"while :; do for l in abs rel; do busybox mv -T /w/dir /w/tmp; busybox mv -T /w/$l /w/dir; busybox mv -T /w/dir /w/$l; busybox mv -T /w/tmp /w/dir; done; "+
			"busybox mv /vols /v2; busybox ln -s "+canary+" /vols; rm /vols; busybox mv /v2 /vols; done")
	e.eventually("it", func() bool { _, code := e.run(e.brigCommand("exec", "swap", "ls", "/ready")); return code == 0 })
	out, copied := t.TempDir(), 0
	end := time.Now().Add(12 * time.Second)
	for n := 0; time.Now().Before(end); n++ {
		cl := []commandLine{e.brigCommand, e.dockerCommand}[n%2]
		for _, args := range [][]string{{"swap:/w/dir", out}, {"swap:/w/dir/file", out + "/file"}, {"swap:/w/dir/sub/.", out}, {"-L", "swap:/w/abs", out},
			{e.dir + "/put/.", "swap:/w/dir"}, {e.dir + "/put/file", "swap:/w/dir/file"}, {e.dir + "/put", "swap:/vols/data"}, {"swap:/vols", out}} {
			if text, code := e.run(cl(append([]string{"cp"}, args...)...)); code == 0 {
				copied++
			} else if strings.Contains(text, "panic") {
				t.Error(text)
			}
		}
		if e.sh(out, "grep -r secret-of-the-host . || true") != "" {
			t.Fatal("the host's text came out of the container")
		}
		e.sh(out, "rm -rf ./*")
	}
	if copied < 10 {
		t.Errorf("only %d copies came to their end", copied)
	}
	if after := e.tree(canary); after != before {
		t.Errorf("the canary was\n%s\nand is\n%s", before, after)
	}
	e.brig("rm", "-f", "swap")
	e.brig("volume", "rm", "vol")
}

// CVE-2026-41567, CVE-2019-14271: no program and no library of the container is run to unpack or to pack, neither by path
// nor for a compressed archive.
func TestCopyRunsNothingOfTheContainer(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "trap", "box", "sh", "-c", "mkdir -p /usr/bin /sbin /lib /usr/lib; for p in xz unxz gzip gunzip unpigz pigz bzip2 zstd tar docker-tar brig-worker; do "+
		"for d in /bin /usr/bin /sbin; do rm -f $d/$p; printf '#!/bin/sh\\necho $0 >> /ran; cat\\n' > $d/$p; chmod 755 $d/$p; done; done; "+
		"for l in libnss_files.so.2 libc.so.6 libc.musl-x86_64.so.1 ld-linux-x86-64.so.2; do printf '#!/bin/sh\\necho $0 >> /ran\\n' > /lib/$l; chmod 755 /lib/$l; done; "+
		"echo 'passwd: files' > /etc/nsswitch.conf; touch /ready; sleep 1000")
	e.eventually("it", func() bool { _, code := e.run(e.brigCommand("exec", "trap", "ls", "/ready")); return code == 0 })
	var plain, zipped bytes.Buffer
	w := tar.NewWriter(&plain)
	w.WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Size: 2, Uname: "root", Gname: "root"})
	w.Write([]byte("hi"))
	w.Close()
	z := gzip.NewWriter(&zipped)
	z.Write(plain.Bytes())
	z.Close()
	if code, text := e.put("trap", "/tmp", &zipped); code != 200 {
		t.Errorf("gzip: %d %s", code, text)
	}
	for name, magic := range map[string]string{"xz": "\xfd7zXZ\x00", "bzip2": "BZh9"} {
		if code, text := e.put("trap", "/tmp", strings.NewReader(magic+strings.Repeat("x", 100))); code != 400 || !strings.Contains(text, name) {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	e.docker("cp", "trap:/tmp/f", e.dir+"/f")
	e.docker("export", "-o", e.dir+"/tar", "trap")
	e.docker("commit", "trap", "trapped:1")
	if out := e.brig("exec", "trap", "sh", "-c", "cat /tmp/f; ls /ran 2>&1; true"); out != "hils: /ran: No such file or directory" {
		t.Errorf("%q: %s", out, e.brig("exec", "trap", "cat", "/ran"))
	}
	e.brig("rm", "-f", "trap")
}

// An archive with links and names that lead out is refused or stays inside, by the API as well.
func TestHostileUploads(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "box1", "box", "sleep", "1000")
	canary := filepath.Join(e.dir, "canary")
	if err := os.Mkdir(canary, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, hs := range map[string][]tar.Header{
		"dots":   {{Name: "../../../../../../../.." + canary + "/x", Typeflag: tar.TypeReg}},
		"link":   {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: canary}, {Name: "l/x", Typeflag: tar.TypeReg}},
		"device": {{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range hs {
			w.WriteHeader(&h)
		}
		w.Close()
		if code, text := e.put("box1", "/tmp", &b); code != 400 {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	if names, _ := os.ReadDir(canary); len(names) > 0 {
		t.Errorf("written: %v", names)
	}
	if code, text := e.put("box1", "/none", strings.NewReader("")); code != 404 || !strings.Contains(text, "Could not find the file") {
		t.Errorf("%d %s", code, text)
	}
	if code, text := e.put("box1", "/etc/passwd", strings.NewReader("")); code != 400 || !strings.Contains(text, "not a directory") {
		t.Errorf("%d %s", code, text)
	}
	e.brig("rm", "-f", "box1")
}

// workers are the process ids of this engine's workers that are root of a container, by control group; one may be there in
// several hierarchies.
func (e *engine) workerPIDs() map[string]bool {
	found := map[string]bool{}
	for _, pattern := range []string{"/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*", "/sys/fs/cgroup"} {
		groups, _ := filepath.Glob(pattern + "/" + e.group + "/worker-*/cgroup.procs")
		for _, g := range groups {
			b, _ := os.ReadFile(g)
			for pid := range strings.FieldsSeq(string(b)) {
				status, _ := os.ReadFile("/proc/" + pid + "/status")
				_, ids, _ := strings.Cut(string(status), "\nUid:\t")
				var uid uint32
				if n, _ := fmt.Sscan(ids, &uid); n == 1 && uid >= 0x70000000 && uid < 0x7ffd0000 { // else it is the forwarder of names
					found[pid] = true
				}
			}
		}
	}
	return found
}

// groups finds the name of the control group that this engine's others are in.
func (e *engine) groups() {
	e.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", e.pid("brigd")))
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if name := filepath.Base(filepath.Dir(strings.TrimSpace(line))); strings.HasPrefix(name, "brig") {
			e.group = name
		}
	}
	if e.group == "" {
		e.t.Fatalf("brigd is in %s", b)
	}
}

func (e *engine) workers() int { return len(e.workerPIDs()) }

// Whoever dies or starts in the middle of a copy: nothing of it is left, and the container goes on.
func TestInterruptedCopiesLeaveNothing(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.groups()
	e.brig("create", "--name", "half", "box", "sh", "-c", "sleep 1000")
	for _, c := range []struct {
		name      string
		running   bool
		interrupt func()
	}{
		{"kill -9 of brigd, stopped", false, func() { e.killed("brigd") }},
		{"a start", false, func() { e.brig("start", "half") }},
		{"kill -9 of brigd, running", true, func() { e.killed("brigd") }},
		{"kill -9 of the warden", true, func() { e.killed("brig-warden") }},
	} {
		e := e.with(t)
		r, w := io.Pipe()
		cmd := e.brigCommand("cp", "-", "half:/tmp")
		cmd.Stdin = r
		var text bytes.Buffer
		cmd.Stderr = &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tw := tar.NewWriter(w)
		tw.WriteHeader(&tar.Header{Name: "half", Typeflag: tar.TypeReg, Size: 100 << 30})
		tw.Write(make([]byte, 1<<20))
		e.eventually("a worker", func() bool { return e.workers() > 0 })
		c.interrupt()
		go io.Copy(tw, neverEnds{})
		e.eventually("the end of the worker", func() bool { return e.workers() == 0 })
		if err := cmd.Wait(); err == nil {
			t.Errorf("%s: the copy says that it has succeeded", c.name)
		}
		r.Close()
		e.brig("cp", "half:/etc/passwd", e.dir+"/passwd")
	}
	if out := e.brig("exec", "half", "echo", "alive"); out != "alive" {
		t.Errorf("%q", out)
	}
	e.brig("rm", "-f", "half")
	e.eventually("removal", func() bool {
		left, _ := filepath.Glob(e.dir + "/root/containers/*/*")
		trash, _ := filepath.Glob(e.dir + "/root/trash/*")
		return len(left)+len(trash) == 0
	})
}

type neverEnds struct{}

func (neverEnds) Read(p []byte) (int, error) { return len(p), nil }

// What stands still for a commit goes on when the commit is cut off.
func TestCommitThatIsCutOffLeavesNothingPaused(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "big", "box", "sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=200 2>/dev/null; touch /ready; sleep 1000")
	e.eventually("it", func() bool { _, code := e.run(e.brigCommand("exec", "big", "ls", "/ready")); return code == 0 })
	cmd := e.brigCommand("commit", "big")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.eventually("the pause", func() bool { return e.show("{{.State.Status}}", "big") == "paused" })
	e.killed("brigd")
	if err := cmd.Wait(); err == nil {
		t.Skip("the commit was quicker")
	}
	e.eventually("it to go on", func() bool { return e.show("{{.State.Status}}", "big") == "running" })
	if out := e.brig("exec", "big", "echo", "alive"); out != "alive" {
		t.Errorf("%q", out)
	}
}

// A client that goes away in the middle of a copy out takes its worker with it.
func TestAClientThatGoesAwayEndsItsWorker(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.groups()
	e.brig("run", "-d", "--name", "big", "box", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null; touch /ready; sleep 1000")
	e.eventually("it", func() bool { _, code := e.run(e.brigCommand("exec", "big", "ls", "/ready")); return code == 0 })
	res, err := e.api().Get("http://brig/containers/big/archive?path=/big")
	if err != nil {
		t.Fatal(err)
	}
	if n := e.workers(); n != 1 {
		t.Errorf("%d workers at work", n)
	}
	res.Body.Close()
	e.eventually("its end", func() bool { return e.workers() == 0 })
	e.brig("rm", "-f", "big")
}

// The worker as the host sees it while it waits: confined like every other, and the container's root, not the host's.
func TestTheWorkerOfACopyIsConfined(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.groups()
	e.brig("run", "-d", "--name", "web", "box", "sleep", "1000")
	pid1 := e.brig("inspect", "--format", "{{.State.Pid}}", "web")
	r, w := io.Pipe()
	cmd := e.brigCommand("cp", "-", "web:/tmp")
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 100))
	pid := ""
	e.eventually("a worker", func() bool {
		for p := range e.workerPIDs() {
			if exe, _ := os.Readlink("/proc/" + p + "/exe"); strings.Contains(exe, "brig-worker") {
				pid = p
			}
		}
		return pid != ""
	})
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	inside, err := os.ReadFile("/proc/" + pid1 + "/status")
	if err != nil {
		t.Fatal(err)
	}
	line := func(b []byte, key string) string {
		_, rest, _ := strings.Cut(string(b), "\n"+key+":\t")
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	for key, want := range map[string]string{"Uid": line(inside, "Uid"), "Gid": line(inside, "Gid"), "Groups": " ", "CapEff": "000000000000001b", "CapPrm": "000000000000001b",
		"CapBnd": "000000000000001b", "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
		if got := line(status, key); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	for ns, same := range map[string]bool{"user": true, "mnt": true, "pid": false, "net": false, "ipc": false, "uts": false} {
		theirs, _ := os.Readlink("/proc/" + pid1 + "/ns/" + ns)
		host, _ := os.Readlink("/proc/self/ns/" + ns)
		have, err := os.Readlink("/proc/" + pid + "/ns/" + ns)
		if err != nil || have == host || (have == theirs) != same {
			t.Errorf("%s: %s, the container's is %s, the host's %s (%v)", ns, have, theirs, host, err)
		}
	}
	if exe, _ := os.Readlink("/proc/" + pid + "/exe"); !strings.HasPrefix(exe, "/memfd:brig-worker") {
		t.Errorf("it runs %s", exe)
	}
	fds, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); strings.HasPrefix(to, e.dir) && !strings.HasSuffix(to, "/engine.log") { // where every worker complains
			t.Errorf("it holds %s of the host", to)
		}
	}
	w.Close()
	cmd.Wait() // what it was given is no archive
	e.brig("rm", "-f", "web")
}
