package index_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sum hashes the content of a file.
func sum(p string) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), err
}

// corpus makes a tree with everything that a tar of GNU's can carry.
func corpus(t *testing.T, root string) {
	t.Helper()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(root, name)
		do(os.MkdirAll(filepath.Dir(p), 0o755))
		do(os.WriteFile(p, []byte(text), mode))
		do(os.Chmod(p, mode))
		return p
	}
	write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:\n", 0o644)
	write("empty", "", 0)
	write("a", "first of three", 0o640)
	do(os.Link(filepath.Join(root, "a"), filepath.Join(root, "b")))
	do(os.MkdirAll(filepath.Join(root, "sub/deep"), 0o711))
	do(os.Link(filepath.Join(root, "a"), filepath.Join(root, "sub/deep/c")))
	do(os.Symlink("../a", filepath.Join(root, "sub/link")))
	do(os.Link(filepath.Join(root, "sub/link"), filepath.Join(root, "sub/link2")))
	do(os.Symlink(strings.Repeat("x/", 1500), filepath.Join(root, "sub/longlink")))
	do(os.Symlink(strings.Repeat("y", 4000), filepath.Join(root, "sub/longerlink")))
	do(unix.Mkfifo(filepath.Join(root, "fifo"), 0o622))
	setuid := write("bin/su", strings.Repeat("program ", 3000), 0o755)
	do(os.Chmod(setuid, 0o755|os.ModeSetuid|os.ModeSetgid))
	do(os.Mkdir(filepath.Join(root, "tmp"), 0o777))
	do(os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky))
	write("ünï/日本語/😀 name with spaces\nand a line", "unicode", 0o600)
	write("!before the dots", "x", 0o600)
	write("\xff\xfe not utf-8", "y", 0o600)
	write(strings.Repeat("n", 255), "long", 0o444)
	write(strings.Repeat("d/", 100)+"end", "deep", 0o444)
	x := write("xattr", "with attributes", 0o600)
	do(unix.Setxattr(x, "user.one", []byte("1"), 0))
	do(unix.Setxattr(x, "user.bin", []byte("\x00\x01\n=\xff"), 0))
	do(unix.Setxattr(x, "trusted.two", []byte(strings.Repeat("z", 900)), 0))
	do(unix.Setxattr(filepath.Join(root, "sub"), "user.dir", []byte("d"), 0))
	for _, size := range []int{1, 511, 512, 513, 4095, 4096, 4097, 1 << 20, 3<<20 + 7} {
		write(fmt.Sprintf("size/%d", size), strings.Repeat("0123456789abcdef!", size/17+1)[:size], 0o644)
	}
	sparse(t, filepath.Join(root, "sparse"), 10<<20, 0, 4<<20+100, 9<<20)
	sparse(t, filepath.Join(root, "hole"), 1<<20)
	sparse(t, filepath.Join(root, "huge hole"), 200<<20, 150<<20)
	var many []int64
	for i := range int64(60) {
		many = append(many, i*(64<<10))
	}
	sparse(t, filepath.Join(root, "sparse with many holes"), 5<<20+1, many...)
	for i := range 3000 {
		write(fmt.Sprintf("big/%04d-%s", i, strings.Repeat("f", i%60)), "", 0o644)
	}
	for i, name := range []string{"a", "size", "etc/passwd", "sub/link", "fifo"} {
		when := []unix.Timespec{{}, {Sec: int64(1_000_000_000 + i), Nsec: int64(123456789 * i)}}
		do(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, name), when, unix.AT_SYMLINK_NOFOLLOW))
	}
	old := time.Unix(-100_000, 0)
	do(os.Chtimes(filepath.Join(root, "bin/su"), old, old))
	for i, name := range []string{"a", "sub/link", "tmp", "xattr"} {
		do(os.Lchown(filepath.Join(root, name), 1000+i, 70_000*i))
	}
	do(os.Chmod(setuid, 0o755|os.ModeSetuid|os.ModeSetgid))
}

// sparse makes a file with data at some offsets only.
func sparse(t *testing.T, name string, size int64, at ...int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, off := range at {
		if _, err := f.WriteAt([]byte(fmt.Sprintf("data at %d", off)), off); err != nil {
			t.Fatal(err)
		}
	}
}

func tarOf(t *testing.T, root string, flags ...string) []byte {
	t.Helper()
	cmd := exec.Command("tar", append(append([]string{"-C", root, "-c"}, flags...), ".")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMountEqualsExtraction holds the mounted index against what GNU tar extracts from the same archive, in each
// dialect.
func TestMountEqualsExtraction(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("missing: GNU tar")
	}
	if os.Getuid() != 0 {
		t.Skip("missing: root")
	}
	src := t.TempDir()
	corpus(t, src)
	for _, dialect := range [][]string{
		{"--format=gnu", "-S"},
		{"--format=pax", "-S", "--xattrs", "--xattrs-include=*"},
		{"--format=pax", "-S", "--sparse-version=0.0"},
		{"--format=pax", "-S", "--sparse-version=0.1"},
	} {
		t.Run(strings.Join(dialect, ""), func(t *testing.T) {
			archive := tarOf(t, src, dialect...)
			want := t.TempDir()
			x := exec.Command("tar", "-C", want, "-xpf", "-", "--xattrs", "--xattrs-include=*", "--numeric-owner")
			x.Stdin = strings.NewReader(string(archive))
			if out, err := x.CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			b, err := build(t, archive)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, describe(t, b.mount(t), true), describe(t, want, true))
		})
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	in := func(list []string) map[string]bool {
		m := map[string]bool{}
		for _, l := range list {
			m[l] = true
		}
		return m
	}
	g, w := in(got), in(want)
	for _, l := range want {
		if !g[l] {
			t.Errorf("missing: %.300s", l)
		}
	}
	for _, l := range got {
		if !w[l] {
			t.Errorf("surplus: %.300s", l)
		}
	}
}
