package index

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/index/erofs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// maxSetuid bounds the list of setuid files in a result.
const maxSetuid = 1000

// Merge reads the tables of contents of an image's layers, lowest first, and writes its index to w. open gives files by
// name: "toc/I" and "data/I" for layer I; Merge closes them. progress may be nil; it counts layers.
func Merge(w io.Writer, p jobs.MergeParams, limits jobs.Limits, open func(name string) (*os.File, error),
	progress func(done, total int64)) (*jobs.MergeResult, error) {
	if len(p.Layers) > erofs.MaxDevices {
		return nil, toc.Exceeded("layers in an image", erofs.MaxDevices)
	}
	t := newTree(limits.MaxEntries)
	ids := sha256.New()
	var sizes []int64
	for n, l := range p.Layers {
		if l.DataSize < erofs.BlockSize || l.DataSize%erofs.BlockSize != 0 || l.DataSize >= erofs.NoBlock*erofs.BlockSize {
			return nil, toc.Invalid("layer %d: a data file of %d bytes", n, l.DataSize)
		}
		entries, end, err := readLayer(n, l.DataSize, limits, open)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", n, err)
		}
		if err := t.apply(n, entries); err != nil {
			return nil, err
		}
		sizes = append(sizes, l.DataSize)
		ids.Write(end.DiffID[:])
		if progress != nil {
			progress(int64(n+1), int64(len(p.Layers)))
		}
	}
	if err := t.mountPoints(p.MountPoints); err != nil {
		return nil, err
	}
	t.finish()
	pl := t.layOut()
	out, err := pl.write(w, sizes, uuid(ids.Sum(nil)), limits.MaxIndexBytes)
	if err != nil {
		return nil, err
	}
	r := &jobs.MergeResult{Digest: out.digest, Size: out.size, Inodes: int64(len(pl.inodes)), Devices: t.devices,
		Xattrs: t.xattrs}
	t.setuid(r)
	return r, t.accounts(r, open)
}

// maxMountPoints bounds what an index gets beside its layers.
const maxMountPoints = 32

// mountPoints adds names that are not there. Where a link or a file is on the way nothing is added.
func (t *tree) mountPoints(points []jobs.MountPoint) error {
	if len(points) > maxMountPoints {
		return toc.Exceeded("mount points", maxMountPoints)
	}
	for _, p := range points {
		if p.Path == "" || path.Clean("/"+p.Path) != "/"+p.Path {
			return toc.Invalid("mount point %.200q is not a clean path", p.Path)
		}
		dirName, base := path.Split(p.Path)
		dir := t.find(strings.TrimSuffix(dirName, "/"))
		if dir == nil || !dir.isDir() || dir.kids[base] != nil {
			continue
		}
		n, err := t.add(dir, base)
		if err != nil {
			return err
		}
		if n.inode = (&inode{mode: erofs.ModeRegular | 0o644}); p.Dir {
			n.inode, n.kids = implicitDir(n), map[string]*node{}
		}
	}
	return nil
}

// uuid makes a random-looking UUID (version 8) of a digest.
func uuid(sum []byte) [16]byte {
	id := [16]byte(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// readLayer reads all entries of a layer: its whiteouts must be known before the first of them is applied.
func readLayer(n int, dataSize int64, limits jobs.Limits, open func(string) (*os.File, error)) ([]*toc.Entry,
	*toc.End, error) {
	f, err := open(fmt.Sprintf("toc/%d", n))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	whole, err := toc.Whole(f)
	if err != nil {
		return nil, nil, err
	}
	r, err := toc.NewReader(bufio.NewReaderSize(whole, 1<<20), dataSize)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var entries []*toc.Entry
	for {
		e, _, err := r.Next()
		if err == io.EOF {
			return entries, r.End(), nil
		}
		if err != nil {
			return nil, nil, err
		}
		if e != nil {
			entries = append(entries, e)
		}
		if int64(len(entries)) > limits.MaxEntries {
			return nil, nil, toc.Exceeded("entries", limits.MaxEntries)
		}
	}
}

// setuid lists the files that would run with another user's rights, if the root were not mounted nosuid.
func (t *tree) setuid(r *jobs.MergeResult) {
	for queue := []*node{t.root}; len(queue) > 0; queue = queue[1:] {
		for _, k := range queue[0].order {
			switch {
			case k.isDir():
				queue = append(queue, k)
			case k.inode.mode&erofs.ModeType == erofs.ModeRegular && k.inode.mode&(erofs.ModeSetuid|erofs.ModeSetgid) != 0:
				if r.SetuidCount++; len(r.Setuid) < maxSetuid {
					r.Setuid = append(r.Setuid, k.path())
				}
			}
		}
	}
}
