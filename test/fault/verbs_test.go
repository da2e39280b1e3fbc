package fault

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// verb is one thing that people ask for. In its words {dir} is a directory of the machine's own.
type verb struct {
	name   string
	before [][]string // what was acknowledged before
	do     []string
	code   int // exit code of success
	// parts do the same in several requests: each of them may have been acknowledged to the client by itself.
	parts [][]string
	probe func(m *machine) string // further state
	// starts: it starts a container.
	starts bool
	// torn: cut off, it may leave what was done so far, as tar does. There is no other way to write into a container that runs.
	torn bool
	// fills: it needs room on the disk.
	fills bool
}

func words(line string) []string { return strings.Split(line, " ") }

// lines are several command lines.
func lines(text ...string) (all [][]string) {
	for _, l := range text {
		all = append(all, words(l))
	}
	return all
}

const sleeper = "run -d --stop-signal KILL --name it box sleep 1000"

func verbs() []verb {
	return []verb{
		{name: "create", fills: true, do: words("create --name it -v vol:/data -v /anonymous box true")},
		{name: "start", fills: true, before: lines("create --name it -v vol:/v box sleep 1000"), do: words("start it"), starts: true},
		{name: "run", do: words("run -d --name it -v vol:/data -p 8081:80 box sleep 1000"),
			parts: lines("create --name it -v vol:/data -p 8081:80 box sleep 1000", "rm it"), starts: true},
		{name: "run --rm", do: words("run --rm --name it -v /anonymous box sh -c exit\t3"), code: 3,
			parts: lines("create --rm --name it -v /anonymous box true"), starts: true},
		{name: "exec", before: lines(sleeper), do: []string{"exec", "it", "sh", "-c", "cp /etc/passwd /data/g && mv /data/g /data/f"}, probe: fileOf("/data/f")},
		{name: "stop", before: lines(sleeper), do: words("stop it")},
		{name: "kill", before: lines(sleeper), do: words("kill it")},
		{name: "restart", before: lines(sleeper), do: words("restart it"), parts: lines("stop it"), starts: true},
		{name: "pause", before: lines(sleeper), do: words("pause it")},
		{name: "unpause", before: lines(sleeper, "pause it"), do: words("unpause it")},
		{name: "rm", before: lines("create --name it -v vol:/v -v /anonymous box true"), do: words("rm -v it")},
		{name: "rm -f", before: lines("run -d --name it -v vol:/v -v /anonymous -p 8081:80 box sleep 1000"), do: words("rm -f -v it"),
			parts: lines("kill it")},
		{name: "rename", before: lines(sleeper), do: words("rename it that")},
		{name: "update", before: lines(sleeper), do: words("update --memory 64m --memory-swap 64m --restart on-failure it"),
			probe: (*machine).memoryOfIt},
		{name: "cp in", before: lines("create --name it box true"), do: words("cp {dir}/file it:/data/f"), probe: fileOf("/data/f"), torn: true},
		{name: "cp in running", before: lines(sleeper), do: words("cp {dir}/file it:/data/f"), probe: fileOf("/data/f"), torn: true},
		{name: "cp out", before: lines("create --name it box true"), do: words("cp it:/data/hello {dir}/out")},
		{name: "commit", fills: true, before: lines(sleeper, "exec it cp /etc/passwd /data/f"), do: words("commit it made")},
		{name: "export", before: lines(sleeper), do: words("export -o {dir}/exported it")},
		{name: "import", fills: true, do: words("import {dir}/tiny-root.tar tiny")},
		{name: "load", fills: true, do: words("load -q -i {dir}/tiny.tar")},
		{name: "pull", fills: true, do: words("pull -q 127.0.0.1:5000/tiny")},
		{name: "tag", fills: true, before: lines("load -q -i {dir}/tiny.tar"), do: words("tag tiny other")},
		{name: "rmi", before: lines("load -q -i {dir}/tiny.tar"), do: words("rmi tiny")},
		{name: "volume create", fills: true, do: words("volume create vol")},
		{name: "volume rm", before: lines("volume create vol"), do: words("volume rm vol")},
		{name: "network create", fills: true, do: words("network create net")},
		{name: "network rm", before: lines("network create net"), do: words("network rm net")},
		{name: "network connect", before: lines(sleeper, "network create net"), do: words("network connect net it")},
		{name: "network disconnect", before: lines(sleeper, "network create net", "network connect net it"),
			do: words("network disconnect net it")},
		{name: "logs", before: lines("run -d --stop-signal KILL --name it box sh -c " +
			"i=0;while\t[\t$i\t-lt\t60\t];do\ti=$((i+1));echo\tline\t$i;sleep\t0.005;done;sleep\t1000"),
			do: words("exec it sleep 0.3"), probe: (*machine).linesOfIt},
		{name: "prune", before: lines("create --name it box true", "network create net", "volume create vol"),
			do: words("system prune -f"), parts: lines("container prune -f", "network prune -f")},
	}
}

// say puts the machine's directory and tabs into words.
func (m *machine) say(w []string) []string {
	out := make([]string, len(w))
	for i := range w {
		out[i] = strings.ReplaceAll(strings.ReplaceAll(w[i], "{dir}", m.Dir), "\t", " ")
	}
	return out
}

// fileOf shows a file of container it, whether that runs or not.
func fileOf(path string) func(m *machine) string {
	return func(m *machine) string {
		to := filepath.Join(m.Dir, "probe")
		os.Remove(to)
		if _, code := m.try("cp", "it:"+path, to); code != 0 {
			return "no file"
		}
		b, err := os.ReadFile(to)
		if err != nil {
			return "no file"
		}
		return fmt.Sprintf("file of %d bytes %.20q", len(b), b)
	}
}

// memoryOfIt is what the kernel bounds container it to.
func (m *machine) memoryOfIt() string {
	var c shown
	m.get("/containers/it/json", &c)
	if c.State.Pid == 0 {
		return "memory: not running"
	}
	for _, path := range cgroupsOf(m.Instance) {
		procs, _ := os.ReadFile(path + "/cgroup.procs")
		limit, err := os.ReadFile(path + "/memory.limit_in_bytes")
		if err != nil {
			limit, err = os.ReadFile(path + "/memory.max")
		}
		if err == nil && strings.Contains("\n"+string(procs), fmt.Sprintf("\n%d\n", c.State.Pid)) {
			return "memory: " + strings.TrimSpace(string(limit))
		}
	}
	return "memory: no group"
}

// linesOfIt waits for the last line, unless its writer has ended, and tells whether one is missing. Some may come twice.
func (m *machine) linesOfIt() string {
	last, gap := 0, ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && last < 60; time.Sleep(20 * time.Millisecond) {
		out, code := m.try("logs", "it")
		if code != 0 {
			return "no logs"
		}
		last, gap = 0, ""
		for line := range strings.Lines(out + "\n") {
			var n int
			if fmt.Sscanf(line, "line %d", &n); n > last+1 || n == 0 {
				gap = fmt.Sprintf("after line %d comes %q", last, line)
			}
			last = max(last, n)
		}
		var c shown
		if m.get("/containers/it/json", &c); c.State.Status != "running" {
			break
		}
	}
	if gap != "" {
		return gap
	}
	return "lines without a gap"
}

// bring makes the files that verbs take, and the images.
func (m *machine) bring() {
	m.t.Helper()
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(m.Dir, name), b, 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	put("box.tar", busybox(m.t))
	put("file", []byte("what is copied\n"))
	put("tiny-root.tar", archive(m.t, map[string]string{"etc/motd": "tiny\n", "bin/x": strings.Repeat("x", 100_000)}))
	m.brig("import", "--change", "ENV PATH=/bin", m.Dir+"/box.tar", image)
	m.brig("import", m.Dir+"/tiny-root.tar", "tiny")
	m.brig("save", "-o", m.Dir+"/tiny.tar", "tiny")
	m.brig("tag", "tiny", registryAddress+"/tiny")
	m.brig("push", "-q", registryAddress+"/tiny")
	m.brig("rmi", "-f", "tiny", registryAddress+"/tiny")
}

func archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))})
		if _, werr := w.Write([]byte(content)); err != nil || werr != nil {
			t.Fatal(err, werr)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// busybox is a root file system.
func busybox(t testing.TB) []byte {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v. Next: apt-get install busybox-static", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content string) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"bin/", "etc/", "data/", "root/", "tmp/"} {
		add(tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, "")
	}
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, "root:x:0:0:root:/root:/bin/sh\n")
	add(tar.Header{Name: "data/hello", Typeflag: tar.TypeReg, Mode: 0o644}, "from the image\n")
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, string(program))
	for _, n := range []string{"sh", "true", "cat", "cp", "sleep", "echo", "nc", "ls", "touch"} {
		add(tar.Header{Name: "bin/" + n, Typeflag: tar.TypeLink, Linkname: "bin/busybox", Mode: 0o755}, "")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
