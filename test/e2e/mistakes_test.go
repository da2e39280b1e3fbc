package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// oneSentence runs a command that must fail with this code, say all of the words in one line (and at most a pointer to
// the help in a second), and leave nothing behind.
func (e *engine) oneSentence(code int, words []string, args ...string) {
	e.t.Helper()
	before := e.traces()
	out, got := e.run(e.brigCommand(args...))
	var lines []string
	for _, l := range strings.Split(out, "\n") {
		if progress := !strings.HasPrefix(l, "brig: ") || strings.HasSuffix(l, "pulling it"); !progress {
			lines = append(lines, l)
		}
	}
	if got != code || len(lines) != 1 {
		e.t.Errorf("brig %s: exit code %d, want %d, and one sentence:\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, w := range words {
		if !strings.Contains(strings.Join(lines, "\n"), w) {
			e.t.Errorf("brig %s: does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
	var after []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if after = e.traces(); slices.Equal(before, after) {
			return
		}
	}
	for _, l := range after {
		if !slices.Contains(before, l) {
			e.t.Errorf("brig %s: left behind: %s", strings.Join(args, " "), l)
		}
	}
	for _, l := range before {
		if !slices.Contains(after, l) {
			e.t.Errorf("brig %s: took away: %s", strings.Join(args, " "), l)
		}
	}
}

// settled waits until the engine has taken in the image that it brings along.
func (e *engine) settled() *engine {
	e.t.Helper()
	e.eventually("the engine's own image", func() bool { return e.brig("images", "-q", "brig-probe") != "" })
	return e
}

// traces lists what an engine can leave behind: objects, files, mounts, control groups, processes.
func (e *engine) traces() []string {
	e.t.Helper()
	var out []string
	for _, list := range [][]string{{"ps", "-aq"}, {"images", "-aq"}, {"volume", "ls", "-q"}, {"network", "ls", "-q"}} {
		out = append(out, list[0]+": "+strings.Join(strings.Fields(e.brig(list...)), " "))
	}
	warden := fmt.Sprintf("/proc/%d/", e.pid("brig-warden"))
	for _, top := range []string{"root", "run"} {
		root := warden + "root" + filepath.Join(e.dir, top) // in the warden's mounts, which may not be ours
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			place := filepath.Base(filepath.Dir(path)) == "containers" && len(filepath.Base(path)) == 2 // where containers are, of none
			if err == nil && !place && !strings.HasSuffix(path, "engine.log") && !strings.Contains(path, "/trail/") {
				out = append(out, "file: "+strings.TrimPrefix(path, warden))
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			e.t.Fatal(err)
		}
	}
	mounts, err := os.ReadFile(warden + "mounts")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, l := range strings.Split(string(mounts), "\n") {
		out = append(out, "mount: "+l)
	}
	return out
}

func (e *engine) write(name string, content []byte) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		e.t.Fatal(err)
	}
	return path
}

// rewrite copies an archive member by member; change returns the new content, or nil to leave the member out.
func rewrite(t testing.TB, archive []byte, change func(name string, content []byte) []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if content = change(h.Name, content); content == nil {
			continue
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestMistakesGetOneSentenceAndLeaveNothing(t *testing.T) {
	e := startEngine(t).settled().withBusybox()
	rootfs := busyboxTar(t)
	saved := filepath.Join(e.dir, "saved.tar")
	e.brig("save", "-o", saved, "box")
	archive, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	e.brig("rmi", "box")
	layer := func(content []byte) bool { return len(content) > 1<<16 }
	without := rewrite(t, archive, func(_ string, content []byte) []byte {
		if layer(content) {
			return nil
		}
		return content
	})
	// The layer stays a good archive and is another one than the name says.
	altered := rewrite(t, archive, func(_ string, content []byte) []byte {
		if layer(content) {
			return bytes.Replace(content, []byte("from the image"), []byte("from a thief!!"), 1)
		}
		return content
	})
	junk := e.write("a", bytes.Repeat([]byte("junk"), 5000))
	damaged := bytes.Clone(rootfs)
	copy(damaged[1024:], "no header")

	for _, m := range []struct {
		name  string
		words []string
		args  []string
	}{
		{"a corrupted archive to load", []string{"damaged"}, []string{"load", "-i", junk}},
		{"a corrupted archive to import", []string{"damaged"}, []string{"import", e.write("b", damaged), "bad"}},
		{"a truncated archive to load", []string{"cut off"}, []string{"load", "-i", e.write("c", archive[:len(archive)/2])}},
		{"a truncated archive to import", []string{"cut off"},
			[]string{"import", e.write("d", rootfs[:len(rootfs)/2]), "bad"}},
		{"a wrong digest", []string{"sha256:"}, []string{"load", "-i", e.write("e", altered)}},
		{"an archive without a layer", []string{"sha256"}, []string{"load", "-i", e.write("f", without)}},
		{"a missing file", []string{"/not/there", "no such file"}, []string{"load", "-i", "/not/there"}},
		{"an unknown command", []string{"frobnicate"}, []string{"frobnicate"}},
	} {
		t.Run(m.name, func(t *testing.T) { e.with(t).oneSentence(1, m.words, m.args...) })
	}

	e.withBusybox()
	e.brig("run", "-d", "--name", "taken", "-p", "8080:80", "box", "sleep", "1000")
	listener := e.listens("127.0.0.1:9090")
	defer listener.Close()
	for _, m := range []struct {
		name  string
		words []string
		args  []string
	}{
		{"a name taken", []string{"taken", "already in use"}, []string{"--name", "taken", "box", "true"}},
		{"an unknown option", []string{"--frobnicate"}, []string{"--frobnicate", "box", "true"}},
		{"a port in use by a container", []string{"8080", "in use"}, []string{"-p", "8080:80", "box", "true"}},
		{"a port in use by a program", []string{"9090", "in use"}, []string{"-p", "9090:80", "box", "true"}},
		{"the same in the background", []string{"9090", "in use"}, []string{"-d", "-p", "9090:80", "box", "true"}},
		{"an unknown image, not to be pulled", []string{"No such image: nothing"}, []string{"--pull", "never", "nothing"}},
		{"an image of a registry that is not there", []string{"127.0.0.1:1/nothing:latest: ", "refused"}, []string{"127.0.0.1:1/nothing"}},
		{"a host's directory that is not there", []string{"/not/there"}, []string{"-v", "/not/there:/x", "box", "true"}},
		{"a volume's name that is none", []string{"not a name"}, []string{"-v", "not a name:/x", "box", "true"}},
		{"a size that is none", []string{"--memory", "lots"}, []string{"--memory", "lots", "box", "true"}},
	} {
		t.Run(m.name, func(t *testing.T) { e.with(t).oneSentence(125, m.words, append([]string{"run"}, m.args...)...) })
	}
	t.Run("a program that is not there", func(t *testing.T) {
		e.with(t).oneSentence(127, []string{"nothing", "not found"}, "run", "box", "nothing")
	})
	t.Run("out of memory inside", func(t *testing.T) {
		e.with(t).oneSentence(137, []string{"memory"}, "run", "--rm", "-m", "16m", "box",
			"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
	})
	if out := e.brig("exec", "taken", "echo", "lives"); out != "lives" {
		t.Errorf("the container that was there before: %q", out)
	}
	e.brig("rm", "-f", "taken")
}

// listens is a program of the host that has a port.
func (e *engine) listens(address string) net.Listener {
	e.t.Helper()
	var l net.Listener
	err := e.within(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return l
}

func TestFullDiskGetsOneSentenceAndLeavesNothing(t *testing.T) {
	e := &engine{t: t}
	e.onSmallDisk(24 << 20)
	e.settled()
	e.brig("import", e.write("small.tar", busyboxTar(t)), "box")
	with := func(size int) []byte {
		return rewrite(t, busyboxTar(t), func(name string, content []byte) []byte {
			if name == "data/hello" {
				return bytes.Repeat([]byte("x"), size)
			}
			return content
		})
	}
	e.oneSentence(1, []string{"no space left"}, "import", e.write("large.tar", with(17<<20)), "large")
	e.brig("import", e.write("fits.tar", with(3<<20)), "fits") // what failed has given its room back
	if out := e.brig("images", "-q", "box"); out == "" {
		t.Error("the image that was there before is gone")
	}
	e.brig("run", "-d", "--name", "fills", "box", "sh", "-c", "dd if=/dev/zero of=/all bs=4k; sleep 1000")
	e.eventually("a full disk", func() bool {
		_, code := e.run(e.brigCommand("exec", "fills", "sh", "-c", "df -k / | tail -n 1 | grep -q ' 100% '"))
		return code == 0
	})
	e.oneSentence(125, []string{"no space left"}, "run", "-d", "box", "true")
	e.oneSentence(125, []string{"no space left"}, "create", "-v", "new:/x", "box", "true")
	e.oneSentence(1, []string{"no space left"}, "volume", "create", "new")
	e.oneSentence(1, []string{"no space left"}, "tag", "box", "other")
	e.brig("rm", "-f", "fills")
	if out := e.brig("run", "--rm", "-v", "new:/x", "box", "echo", "room"); out != "room" {
		t.Errorf("%q", out)
	}
}

// onSmallDisk starts an engine whose directory is a file system of this size, mounted where only the engine sees it.
func (e *engine) onSmallDisk(size int) {
	e.t.Helper()
	dir, err := os.MkdirTemp("", "brig-e2e-")
	if err != nil {
		e.t.Fatal(err)
	}
	e.dir, e.socket, e.netns = dir, filepath.Join(dir, "run", "brig.sock"), newNetns(e.t)
	e.t.Cleanup(e.cleanup)
	if err := errors.Join(os.Chmod(dir, 0o711), os.Mkdir(filepath.Join(dir, "root"), 0o711)); err != nil {
		e.t.Fatal(err)
	}
	cmd := e.brigCommand("engine", "start", "--root", e.dir+"/root", "--run", e.dir+"/run", "--socket", e.socket)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = e.within(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("brig-test", dir+"/root", "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
			return err
		}
		return cmd.Run()
	})
	if err != nil {
		e.t.Fatalf("engine start: %v\n%s\n%s", err, out.String(), e.log())
	}
}
