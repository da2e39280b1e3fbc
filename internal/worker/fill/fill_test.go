package fill

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "cd "+dir+" && find . -printf '%p %y %m %U:%G %T@ %l\\n' | sort; find . -type f | sort | xargs cat").CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return string(out)
}

func TestCopyKeepsOwnersModesAndLinks(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	script := `mkdir -p a/b && echo x > a/f && echo y > a/b/g && ln -s /etc/passwd l && ln -s loop loop && chown 999:998 a/f a && chmod 4711 a/f &&
		 chmod 700 a && touch -d 2001-01-01 a/f && mkfifo p && chmod 750 . && chown 5:6 .`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = src
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := Copy(open(t, src), open(t, dst)); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(src, "p")) // a FIFO is left out; its removal changes the time of the directory
	got, want := listing(t, dst), listing(t, src)
	drop := func(s string) string { // the top directory's own time
		_, rest, _ := strings.Cut(s, "\n")
		return rest
	}
	if drop(got) != drop(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(dst, &st); err != nil || st.Uid != 5 || st.Gid != 6 || st.Mode&0o7777 != 0o750 {
		t.Errorf("the volume's own directory: %d:%d %o %v", st.Uid, st.Gid, st.Mode, err)
	}
}

func TestCopyLeavesAVolumeThatHasSomethingAlone(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	os.WriteFile(src+"/f", []byte("image"), 0o644)
	os.WriteFile(dst+"/f", []byte("mine"), 0o644)
	if err := Copy(open(t, src), open(t, dst)); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(dst + "/f"); string(b) != "mine" {
		t.Errorf("got %q", b)
	}
}
