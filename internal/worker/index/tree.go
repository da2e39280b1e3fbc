package index

import (
	"fmt"
	"path"
	"strings"

	"github.com/brig-engine/brig/internal/worker/index/erofs"
	"github.com/brig-engine/brig/internal/worker/toc"
)

// inode is what one or more names stand for.
type inode struct {
	mode      uint16 // with the type; 0 is a device node, which will be left out
	chunkBits uint8
	device    uint16 // number of the layer whose data file has the extents, plus one
	nlink     uint32
	uid, gid  uint32
	mtimeNs   uint32
	mtime     int64
	size      int64
	link      string
	xattrs    []toc.Xattr
	extents   []toc.Extent

	place place
	dir   *node // of a directory: its only name
}

// node is a name.
type node struct {
	name   string
	parent *node
	inode  *inode
	kids   map[string]*node
	order  []*node // kids, sorted; set by finish
}

func (n *node) isDir() bool { return n.inode.mode&erofs.ModeType == erofs.ModeDir }

// path is for people.
func (n *node) path() string {
	if n.parent == nil {
		return "/"
	}
	var parts []string
	for ; n.parent != nil; n = n.parent {
		parts = append(parts, n.name)
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString("/" + parts[i])
	}
	return b.String()
}

// tree is the merged image.
type tree struct {
	root     *node
	made     int64
	maxNodes int64
	xattrs   int64 // extended attributes left out
	devices  int64 // device nodes left out
}

func newTree(maxNodes int64) *tree {
	t := &tree{maxNodes: maxNodes}
	t.root = &node{kids: map[string]*node{}}
	t.root.inode = implicitDir(t.root)
	return t
}

func implicitDir(n *node) *inode {
	return &inode{mode: erofs.ModeDir | 0o755, dir: n}
}

// apply puts one layer, numbered from 0, on top.
func (t *tree) apply(layer int, entries []*toc.Entry) error {
	for _, e := range entries {
		if err := t.whiteout(e); err != nil {
			return fmt.Errorf("layer %d, %.200q: %w", layer, e.Name, err)
		}
	}
	for _, e := range entries {
		if isMark(e.Name) {
			continue
		}
		if err := t.put(layer, e); err != nil {
			return fmt.Errorf("layer %d, %.200q: %w", layer, e.Name, err)
		}
	}
	return nil
}

const (
	whiteoutPrefix = ".wh."
	metaPrefix     = ".wh..wh."
	opaqueMark     = ".wh..wh..opq"
)

// isMark tells whether a name, or a directory that it is in, is a whiteout or bookkeeping.
func isMark(name string) bool {
	return strings.HasPrefix(name, whiteoutPrefix) || strings.Contains(name, "/"+whiteoutPrefix)
}

// whiteout carries out e if it is a mark. Where the directory is missing, or is no directory, there is nothing to hide.
func (t *tree) whiteout(e *toc.Entry) error {
	if !isMark(e.Name) {
		return nil
	}
	dir, base := path.Split(e.Name)
	if isMark(strings.TrimSuffix(dir, "/")) {
		if strings.HasPrefix(dir, metaPrefix) || strings.Contains(dir, "/"+metaPrefix) {
			return nil
		}
		return toc.Invalid("an entry below a whiteout")
	}
	parent := t.find(strings.TrimSuffix(dir, "/"))
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	switch {
	case hidden == "" || hidden == "." || hidden == "..":
		return toc.Invalid("a whiteout of nothing")
	case parent == nil || !parent.isDir():
	case base == opaqueMark:
		parent.kids = map[string]*node{}
	case strings.HasPrefix(base, metaPrefix):
	default:
		delete(parent.kids, hidden)
	}
	return nil
}

// find looks a clean name up; nil if it is not there.
func (t *tree) find(name string) *node {
	n := t.root
	if name == "" {
		return n
	}
	for part := range strings.SplitSeq(name, "/") {
		if n = n.kids[part]; n == nil {
			return nil
		}
	}
	return n
}

// parent finds the directory that name is in, and makes it.
func (t *tree) parent(dir string) (*node, error) {
	n := t.root
	if dir == "" {
		return n, nil
	}
	for part := range strings.SplitSeq(dir, "/") {
		kid := n.kids[part]
		if kid == nil || !kid.isDir() {
			var err error
			if kid, err = t.add(n, part); err != nil {
				return nil, err
			}
			kid.inode, kid.kids = implicitDir(kid), map[string]*node{}
		}
		n = kid
	}
	return n, nil
}

// add makes a new name in dir, in place of an old one.
func (t *tree) add(dir *node, name string) (*node, error) {
	if t.made++; t.made > t.maxNodes {
		return nil, toc.Exceeded("names in an image", t.maxNodes)
	}
	n := &node{name: strings.Clone(name), parent: dir}
	dir.kids[n.name] = n
	return n, nil
}

// put carries out an entry that is no mark.
func (t *tree) put(layer int, e *toc.Entry) error {
	if e.Name == "" {
		t.root.inode = t.inode(layer, e)
		t.root.inode.dir = t.root
		return nil
	}
	var target *inode
	if e.Kind == toc.Hardlink {
		to := t.find(e.Link)
		switch {
		case to == nil || isMark(e.Link):
			return toc.Invalid("a hard link to %.200q, which is not there", e.Link)
		case to.isDir():
			return toc.Invalid("a hard link to the directory %.200q", e.Link)
		}
		target = to.inode
	}
	dirName, base := path.Split(e.Name)
	dir, err := t.parent(strings.TrimSuffix(dirName, "/"))
	if err != nil {
		return err
	}
	if old := dir.kids[base]; old != nil && old.isDir() && e.Kind == toc.Dir {
		old.inode = t.inode(layer, e)
		old.inode.dir = old
		return nil
	}
	n, err := t.add(dir, base)
	if err != nil {
		return err
	}
	switch e.Kind {
	case toc.Hardlink:
		n.inode = target
	case toc.Dir:
		n.inode, n.kids = t.inode(layer, e), map[string]*node{}
		n.inode.dir = n
	default:
		n.inode = t.inode(layer, e)
	}
	return nil
}

var types = [...]uint16{toc.Regular: erofs.ModeRegular, toc.Symlink: erofs.ModeSymlink, toc.Dir: erofs.ModeDir,
	toc.Fifo: erofs.ModeFifo, toc.Device: 0}

func (t *tree) inode(layer int, e *toc.Entry) *inode {
	i := &inode{uid: e.UID, gid: e.GID, mtime: e.MTime, mtimeNs: e.MTimeNs, size: e.Size, chunkBits: e.ChunkBits,
		extents: e.Extents}
	if e.Kind == toc.Device {
		return i
	}
	i.mode = types[e.Kind] | e.Mode
	if e.Kind == toc.Symlink {
		i.mode = types[e.Kind] | 0o777 // what the kernel shows for every link
		i.link, i.size = strings.Clone(e.Link), int64(len(e.Link))
	}
	if len(e.Extents) > 0 {
		i.device = uint16(layer + 1)
	}
	for _, x := range e.Xattrs {
		if kept(i.mode, x) {
			i.xattrs = append(i.xattrs, x)
		} else {
			t.xattrs++
		}
	}
	return i
}
