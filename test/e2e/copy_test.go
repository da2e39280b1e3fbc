package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// commandLine is one of the two clients, which are to behave alike.
type commandLine func(args ...string) *exec.Cmd

// sh runs a script on the host.
func (e *engine) sh(dir, script string) string {
	e.t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	return e.must(cmd)
}

// tree shows names, kinds, modes and contents below a directory of the host.
func (e *engine) tree(dir string) string {
	e.t.Helper()
	return e.sh(dir, `find . ! -name . -printf '%P %y %m %l\n' | sort; find . -type f | sort | xargs -r head -c 100`)
}

// insideTree is the same of a directory of a running container, with owners.
func (e *engine) insideTree(name, dir string) string {
	e.t.Helper()
	return e.brig("exec", "-u", "0", name, "sh", "-c", "cd "+dir+"; for f in $(busybox find . | busybox sort); do stat -c '%n %A %u:%g' $f; readlink $f; [ -f $f ] && cat $f; done; true")
}

// TestCopyAsDocker runs every case with docker and with brig, and wants the same files, exit codes and, but for their
// beginning, errors.
func TestCopyAsDocker(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "web", "-u", "worker", "-v", "vol:/data", "box", "sleep", "1000")
	e.brig("exec", "-u", "0", "web", "sh", "-c", "mkdir -p /src/sub /empty; echo one > /src/a; echo two > /src/sub/b; busybox ln -s a /src/link; busybox ln -s /src /dirlink; "+
		"chmod 711 /src/a; busybox ln -s /none /broken; echo v > /data/v")
	for _, c := range []struct{ name, setup, args string }{
		{"file to a directory", "mkdir d", "web:/src/a d"},
		{"file to a directory with a slash", "mkdir d", "web:/src/a d/"},
		{"file to a new name", "", "web:/src/a new"},
		{"file over a file", "echo old > f", "web:/src/a f"},
		{"file to a new name with a slash", "", "web:/src/a new/"},
		{"file below nothing", "", "web:/src/a no/where"},
		{"directory to a directory", "mkdir d", "web:/empty d"},
		{"directory to a new name", "", "web:/empty new"},
		{"content of a directory", "mkdir d", "web:/empty/. d"},
		{"content of a directory to a new name", "", "web:/empty/. new"},
		{"directory over a file", "echo old > f", "web:/empty f"},
		{"link", "mkdir d", "web:/src/link d"},
		{"link followed", "mkdir d", "-L web:/src/link d"},
		{"link followed to a new name", "", "-L web:/src/link new"},
		{"link to a directory", "mkdir d", "web:/dirlink d"},
		{"broken link", "mkdir d", "web:/broken d"},
		{"not there", "", "web:/nothing x"},
		{"file as a directory", "", "web:/src/a/ x"},
		{"volume", "", "web:/data/v x"},
		{"relative path", "", "web:src/a x"},
		{"path with dots", "", "web:/src/../../src/a x"},
		{"no container", "", "nobody:/x x"},
		{"neither", "", "a b"},
		{"both", "", "web:/a web:/b"},
		{"quiet", "", "-q web:/src/a x"},
	} {
		t.Run("out: "+c.name, func(t *testing.T) {
			e := e.with(t)
			var trees, errs [2]string
			var codes [2]int
			for i, cl := range []commandLine{e.dockerCommand, e.brigCommand} {
				dir := t.TempDir()
				e.sh(dir, c.setup)
				cmd := cl(append([]string{"cp"}, strings.Fields(c.args)...)...)
				cmd.Dir = dir
				errs[i], codes[i] = e.run(cmd)
				trees[i] = e.tree(dir)
			}
			if trees[0] != trees[1] || codes[0] != codes[1] {
				t.Errorf("docker: %d %s\n%s\nbrig: %d %s\n%s", codes[0], errs[0], trees[0], codes[1], errs[1], trees[1])
			}
		})
	}
	for _, c := range []struct{ name, setup, args string }{
		{"file to a directory", "echo x > f", "f web:/T"},
		{"file to a new name", "echo x > f", "f web:/T/new"},
		{"file over a file", "echo x > f", "f web:/T/old"},
		{"file to a new name with a slash", "echo x > f", "f web:/T/new/"},
		{"file below nothing", "echo x > f", "f web:/T/no/where"},
		{"directory to a directory", "mkdir -p d/e; echo x > d/e/f; ln -s f d/e/l; chmod 751 d", "d web:/T"},
		{"directory to a new name", "mkdir -p d/e; echo x > d/e/f", "d web:/T/new"},
		{"content of a directory", "mkdir -p d/e; echo x > d/e/f", "d/. web:/T"},
		{"content of a directory to a new name", "mkdir -p d/e; echo x > d/e/f", "d/. web:/T/new"},
		{"directory over a file", "mkdir d", "d web:/T/old"},
		{"file over a directory of that name", "echo x > sub", "sub web:/T"},
		{"directory over a file of that name", "mkdir old", "old web:/T"},
		{"link", "echo x > f; ln -s f l", "l web:/T"},
		{"link followed", "echo x > f; ln -s f l", "-L l web:/T"},
		{"link followed to a directory", "mkdir d; echo x > d/f; ln -s d l", "-L l web:/T"},
		{"through a link", "echo x > f", "f web:/T/to"},
		{"over a link to a file", "echo x > f", "f web:/T/toold"},
		{"archive", "echo x > f; chown 7:8 f", "-a f web:/T"},
		{"numeric owner", "echo x > f; chown 7:8 f", "f web:/T"},
		{"not there", "", "f web:/T"},
		{"engine's file", "echo x > hosts", "hosts web:/etc/hosts"},
		{"no container", "echo x > f", "f nobody:/T"},
		{"empty source", "", ` web:/T`},
	} {
		t.Run("in: "+c.name, func(t *testing.T) {
			e := e.with(t)
			var trees, errs [2]string
			var codes [2]int
			for i, cl := range []commandLine{e.dockerCommand, e.brigCommand} {
				dir := t.TempDir()
				e.sh(dir, c.setup)
				e.brig("exec", "-u", "0", "web", "sh", "-c", "rm -rf /T; mkdir -p /T/sub; echo old > /T/old; busybox ln -s sub /T/to; busybox ln -s old /T/toold")
				cmd := cl(append([]string{"cp"}, strings.Fields(c.args)...)...)
				cmd.Dir = dir
				errs[i], codes[i] = e.run(cmd)
				trees[i] = e.insideTree("web", "/T")
			}
			if trees[0] != trees[1] || codes[0] != codes[1] {
				t.Errorf("docker: %d %s\n%s\nbrig: %d %s\n%s", codes[0], errs[0], trees[0], codes[1], errs[1], trees[1])
			}
		})
	}
	e.brig("rm", "-f", "web")
}

func names(t *testing.T, b []byte) string {
	t.Helper()
	var out []string
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Name)
	}
}

func TestCopyStreams(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "web", "box", "sleep", "1000")
	defer e.brig("rm", "-f", "web")
	var tarball bytes.Buffer
	w := tar.NewWriter(&tarball)
	w.WriteHeader(&tar.Header{Name: "x/y", Typeflag: tar.TypeReg, Size: 5, Mode: 0o600, Uid: 1000, Gid: 1000})
	w.Write([]byte("hello"))
	w.WriteHeader(&tar.Header{Name: "x/p", Typeflag: tar.TypeFifo, Mode: 0o666})
	w.Close()
	for _, cl := range []commandLine{e.dockerCommand, e.brigCommand} {
		cmd := cl("cp", "-", "web:/tmp")
		cmd.Stdin = bytes.NewReader(tarball.Bytes())
		e.must(cmd)
		if out := e.brig("exec", "web", "sh", "-c", "cat /tmp/x/y; stat -c ' %a %u:%g' /tmp/x/y; stat -c %a /tmp/x/p; rm -r /tmp/x"); out != "hello 600 1000:1000\n666" {
			t.Errorf("%q", out)
		}
		for path, want := range map[string]string{"/data": "data/ data/hello", "/data/.": "./ ./hello", "/data/hello": "hello"} {
			out, err := cl("cp", "web:"+path, "-").Output()
			if err != nil || names(t, out) != want {
				t.Errorf("%s: %q, %v", path, names(t, out), err)
			}
		}
		cmd = cl("cp", "-", "web:/etc/passwd")
		cmd.Stdin = bytes.NewReader(tarball.Bytes())
		if out, code := e.run(cmd); code != 1 || !strings.Contains(out, "must be a directory") {
			t.Errorf("%d %s", code, out)
		}
		cmd = cl("cp", "-", "web:/tmp")
		cmd.Stdin = strings.NewReader(strings.Repeat("no archive ", 1<<17))
		if out, code := e.run(cmd); code != 1 || !strings.Contains(out, "cannot be read") {
			t.Errorf("%d %s", code, out)
		}
	}
}

func TestCopyOfContainersThatDoNotRun(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.sh(e.dir, "mkdir h; echo text > h/f; mkdir bind; chmod 777 bind; echo bound > bind/b")
	// Before its first start, with a volume and a bind mount of the caller.
	e.brig("create", "--name", "made", "-v", "vol:/data", "-v", e.dir+"/bind:/bind", "box", "sh", "-c", "cat /f /data/f /data/hello /bind/b; stat -c %u /f")
	e.brig("cp", e.dir+"/h/f", "made:/f")
	e.docker("cp", e.dir+"/h/f", "made:/data/f")
	if out := e.brig("cp", "made:/bind/b", "-"); !strings.Contains(out, "bound") {
		t.Errorf("%q", out)
	}
	if out := e.brig("diff", "made"); !strings.Contains(out, "A /f") {
		t.Errorf("diff: %q", out)
	}
	if out := e.brig("start", "-a", "made"); out != "text\ntext\nfrom the image\nbound\n0" {
		t.Errorf("start: %q", out)
	}
	// After its end, and while it is restarted.
	if out := e.brig("cp", "made:/data/hello", "-"); !strings.Contains(out, "from the image") {
		t.Errorf("%q", out)
	}
	e.brig("rm", "made")
	e.brig("volume", "rm", "vol")
	// Read-only roots and volumes refuse, running or not.
	e.brig("create", "--name", "ro", "--read-only", "-v", "vol2:/data:ro", "box", "sleep", "1000")
	for range 2 {
		for _, dst := range []string{"ro:/f", "ro:/data/f"} {
			e.refused(1, []string{"read-only"}, "cp", e.dir+"/h/f", dst)
			if out, code := e.run(e.dockerCommand("cp", e.dir+"/h/f", dst)); code != 1 || !strings.Contains(out, "marked read-only") {
				t.Errorf("%d %s", code, out)
			}
		}
		e.brig("start", "ro")
	}
	e.brig("rm", "-f", "ro")
	e.brig("volume", "rm", "vol2")
	// A --rm container that was touched before its start is not taken for a remainder.
	e.brig("create", "--rm", "--name", "temp", "box", "cat", "/f")
	e.brig("cp", e.dir+"/h/f", "temp:/f")
	e.killed("brigd")
	if out := e.brig("start", "-a", "temp"); out != "text" {
		t.Errorf("%q", out)
	}
	e.eventually("its removal", func() bool { return e.brig("ps", "-aq") == "" })
	if left, _ := filepath.Glob(e.dir + "/root/containers/*/*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestDiffExportCommit(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "web", "-e", "x=1", "-v", "vol:/data", "--label", "l=1", "box", "sh", "-c",
		"rm /bin/wget; rm -rf /data2 /root; mkdir -p /root /new/deep; echo hi > /new/deep/f; echo v > /data/v; chmod 600 /etc/passwd; touch /ready; sleep 1000")
	e.eventually("it", func() bool { _, code := e.run(e.brigCommand("exec", "web", "ls", "/ready")); return code == 0 })
	want := "C /bin\nD /bin/wget\nC /etc\nC /etc/passwd\nA /new\nA /new/deep\nA /new/deep/f\nA /ready\nC /root"
	if out := e.brig("diff", "web"); out != want {
		t.Errorf("diff: %s", out)
	}
	if out := e.docker("diff", "web"); out != want {
		t.Errorf("docker diff: %s", out)
	}
	for i, cl := range []commandLine{e.dockerCommand, e.brigCommand} {
		file := fmt.Sprint(e.dir, "/export", i)
		e.must(cl("export", "-o", file, "web"))
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list := " " + names(t, b) + " "
		for _, n := range []string{"bin/", "new/deep/f", "data/hello", "etc/hosts", "proc/"} {
			if !strings.Contains(list, " "+n+" ") {
				t.Errorf("export: no %s in %s", n, list)
			}
		}
		for _, n := range []string{"data/v", "bin/wget", "proc/1/", "dev/null"} {
			if strings.Contains(list, " "+n+" ") {
				t.Errorf("export: %s in %s", n, list)
			}
		}
		name := fmt.Sprint("mine:", i)
		id := e.must(cl("commit", "-m", "a comment", "-a", "somebody", "-c", `CMD ["cat", "/new/deep/f"]`, "-c", "ENV y=2", "web", name))
		if out := e.brig("run", "--rm", name); out != "hi" {
			t.Errorf("run: %q", out)
		}
		if out := e.brig("run", "--rm", name, "sh", "-c", "echo $x$y; ls /bin/wget 2>&1 | wc -l; stat -c %a /etc/passwd; ls /root /data | busybox tr '\\n' ' '"); out != "12\n1\n600\n/data: hello /root:" && !strings.Contains(out, "hello") {
			t.Errorf("run: %q", out)
		}
		if out := e.brig("inspect", "--type", "image", "--format", "{{.Id}} {{.Author}} {{.Comment}} {{index .Config.Labels \"l\"}} {{len .RootFS.Layers}}", name); out != id+" somebody a comment 1 2" {
			t.Errorf("inspect: %q", out)
		}
	}
	// It stands still meanwhile, unless that is not wanted, and goes on; one that was paused stays so.
	stands := func() int {
		since := strconv.FormatInt(time.Now().Unix()+1, 10)
		return strings.Count(e.docker("events", "--since", "10m", "--until", since, "--filter", "container=web", "--filter", "event=pause", "--format", "x"), "x")
	}
	if n := stands(); n != 2 {
		t.Errorf("it was paused %d times for two commits", n)
	}
	e.docker("commit", "--pause=false", "web", "mine:2")
	e.brig("commit", "-p=false", "web", "mine:2")
	if n, state := stands(), e.show("{{.State.Status}}", "web"); n != 2 || state != "running" {
		t.Errorf("it was paused %d times, and is %s", n, state)
	}
	e.brig("pause", "web")
	e.brig("commit", "web", "mine:2")
	if state := e.show("{{.State.Status}}", "web"); state != "paused" {
		t.Errorf("it is %s", state)
	}
	e.brig("unpause", "web")
	e.brig("rmi", "mine:2")
	// Of one that has ended, without a name; and the image of an image goes out and comes back.
	e.brig("kill", "web")
	id := e.brig("commit", "web")
	if out := e.brig("run", "--rm", id, "cat", "/new/deep/f"); out != "hi" {
		t.Errorf("%q", out)
	}
	e.brig("save", "-o", e.dir+"/saved", "mine:0")
	e.brig("rmi", "mine:0", "mine:1", id)
	e.brig("load", "-i", e.dir+"/saved")
	if out := e.brig("run", "--rm", "mine:0"); out != "hi" {
		t.Errorf("%q", out)
	}
	e.refused(1, []string{"SHELL"}, "commit", "-c", "SHELL [\"x\"]", "web")
	e.brig("rm", "web")
	e.brig("import", e.dir+"/export0", "flat")
	if out := e.brig("run", "--rm", "flat", "/bin/cat", "/new/deep/f"); out != "hi" {
		t.Errorf("%q", out)
	}
}
