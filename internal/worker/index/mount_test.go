package index_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/index"
	"github.com/brig-engine/brig/internal/worker/index/check"
	"github.com/brig-engine/brig/internal/worker/layer"
	"golang.org/x/sys/unix"
)

// built is an image made of tars: the files that the warden would seal.
type built struct {
	index  *os.File
	data   []*os.File
	tocs   []*os.File
	layers []*jobs.LayerResult
	merged *jobs.MergeResult
}

func tempFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// reopen gives a second description of f, at offset 0.
func reopen(f *os.File) (*os.File, error) { return os.Open(f.Name()) }

var limits = jobs.Limits{}.WithDefaults()

// build runs the three jobs over tars, lowest first.
func build(t testing.TB, tars ...[]byte) (*built, error) {
	t.Helper()
	b := &built{index: tempFile(t)}
	var p jobs.MergeParams
	var sizes []int64
	for _, tar := range tars {
		data, toc := tempFile(t), tempFile(t)
		r, err := layer.Build(bytes.NewReader(tar), data, toc, jobs.LayerParams{BlobSize: int64(len(tar))}, limits, nil)
		if err != nil {
			return nil, err
		}
		b.layers, b.data, b.tocs = append(b.layers, r), append(b.data, data), append(b.tocs, toc)
		p.Layers = append(p.Layers, jobs.MergeLayer{DataSize: r.DataSize})
		sizes = append(sizes, r.DataSize)
	}
	var err error
	if b.merged, err = merge(b, p); err != nil {
		return nil, err
	}
	in, err := reopen(b.index)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r, err := check.Verify(in, jobs.CheckParams{Devices: sizes}, limits)
	if err != nil {
		t.Errorf("an index of our own does not pass the check: %v", err)
		return nil, err
	}
	if r.Digest != b.merged.Digest || r.Inodes != b.merged.Inodes || r.Size != b.merged.Size {
		t.Errorf("check says %+v, merge said %+v", r, b.merged)
	}
	return b, nil
}

// merge writes the index of b.
func merge(b *built, p jobs.MergeParams) (*jobs.MergeResult, error) {
	open := func(name string) (*os.File, error) {
		var n int
		if _, err := fmt.Sscanf(name, "toc/%d", &n); err == nil {
			return reopen(b.tocs[n])
		}
		if _, err := fmt.Sscanf(name, "data/%d", &n); err == nil {
			return reopen(b.data[n])
		}
		return nil, errors.New("no such file")
	}
	return index.Merge(b.index, p, limits, open, nil)
}

// mount mounts the image, detached, straight from its files, and gives a path to it.
func (b *built) mount(t testing.TB) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("missing: root")
	}
	fd, err := unix.Fsopen("erofs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("missing: EROFS (%v)", err)
	}
	defer unix.Close(fd)
	set := func(key string, f *os.File) {
		if err := unix.FsconfigSetString(fd, key, fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	set("source", b.index)
	for _, d := range b.data {
		set("device", d)
	}
	if err := unix.FsconfigCreate(fd); err == unix.ENOTBLK {
		t.Skip("missing: EROFS mounted from files (Linux 6.12)")
	} else if err != nil {
		msg := make([]byte, 1024)
		n, _ := unix.Read(fd, msg)
		t.Fatalf("mount: %v %s", err, msg[:max(n, 0)])
	}
	m, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		t.Fatalf("fsmount: %v", err)
	}
	t.Cleanup(func() { unix.Close(m) })
	return fmt.Sprintf("/proc/self/fd/%d", m)
}

// describe lists a tree: one line for each name with all that matters of it. Hard links are shown by their first name.
func describe(t testing.TB, root string, withTimes bool) []string {
	t.Helper()
	var out []string
	first := map[[2]uint64]string{}
	err := filepath.WalkDir(root+"/.", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		var st syscall.Stat_t
		if err := syscall.Lstat(p, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%q %o %d:%d", rel, st.Mode, st.Uid, st.Gid)
		if withTimes {
			line += fmt.Sprintf(" %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		}
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFLNK:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" -> %q", to)
		case syscall.S_IFREG:
			digest, err := sum(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %s", st.Size, digest)
		}
		if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			key := [2]uint64{uint64(st.Dev), st.Ino}
			line += fmt.Sprintf(" links=%d", st.Nlink)
			if name, ok := first[key]; ok {
				line += fmt.Sprintf(" same=%q", name)
			} else {
				first[key] = rel
			}
		} else if withTimes {
			line += fmt.Sprintf(" dirlinks=%d", st.Nlink)
		}
		out = append(out, line+xattrs(t, p, st.Mode))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(out)
	return out
}

func xattrs(t testing.TB, p string, mode uint32) string {
	if mode&syscall.S_IFMT == syscall.S_IFLNK {
		return ""
	}
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(p, list)
	if err != nil {
		t.Fatalf("listxattr %s: %v", p, err)
	}
	var out []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if name == "" || strings.HasPrefix(name, "security.") {
			continue
		}
		v := make([]byte, 64<<10)
		k, err := unix.Lgetxattr(p, name, v)
		if err != nil {
			t.Fatalf("getxattr %s %s: %v", p, name, err)
		}
		out = append(out, fmt.Sprintf("%s=%q", name, v[:k]))
	}
	sort.Strings(out)
	if len(out) == 0 {
		return ""
	}
	return " " + strings.Join(out, " ")
}
