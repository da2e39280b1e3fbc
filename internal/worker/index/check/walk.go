package check

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/brig-engine/brig/internal/worker/index/erofs"
)

// todo is a directory whose content is still to be checked.
type todo struct {
	nid   uint64
	up    *todo // nil for the root
	name  string
	depth int
	data  []byte
}

// path is for people; it is not kept, as a hostile index could make it long two million times.
func (d *todo) path() string {
	if d.up == nil {
		return ""
	}
	return d.up.path() + "/" + d.name
}

// walk goes through the tree from the root. A directory that is reached a second time is an error, so it ends.
func (c *checker) walk() error {
	root, data, err := c.inode(c.root)
	if err == nil && root.mode&erofs.ModeType != erofs.ModeDir {
		err = fmt.Errorf("is not a directory")
	}
	if err != nil {
		return bad("/: %w", err)
	}
	c.files[c.root] = &file{mode: root.mode, nlink: root.nlink, names: 2}
	queue := []*todo{{nid: c.root, data: data}}
	for len(queue) > 0 {
		d := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		err := c.dir(d, func(sub *todo) { queue = append(queue, sub) })
		if err != nil {
			return bad("%.4096s/: %w", d.path(), err)
		}
	}
	return nil
}

// dir checks the content of one directory and hands on the directories in it.
func (c *checker) dir(d *todo, found func(*todo)) error {
	last, up := "", d.nid
	if d.up != nil {
		up = d.up.nid
	}
	dots := 0
	for data := d.data; len(data) > 0; {
		n := min(len(data), erofs.BlockSize)
		err := entries(data[:n], func(name string, nid uint64, typ byte) error {
			if name <= last {
				return fmt.Errorf("the name %q is out of order", name)
			}
			last = name
			switch name {
			case ".":
				dots++
				return same(name, nid, d.nid, typ)
			case "..":
				dots++
				return same(name, nid, up, typ)
			}
			sub, err := c.name(d, name, nid, typ)
			if err != nil {
				return fmt.Errorf("%.255q: %w", name, err)
			}
			if sub != nil {
				found(sub)
			}
			return nil
		})
		if err != nil {
			return err
		}
		data = data[n:]
	}
	if dots != 2 {
		return fmt.Errorf("no . or no ..")
	}
	return nil
}

func same(name string, nid, want uint64, typ byte) error {
	if nid != want || typ != erofs.TypeDir {
		return fmt.Errorf("%s leads to inode %d, not %d", name, nid, want)
	}
	return nil
}

var types = map[uint16]byte{erofs.ModeRegular: erofs.TypeRegular, erofs.ModeDir: erofs.TypeDir,
	erofs.ModeFifo: erofs.TypeFifo, erofs.ModeSymlink: erofs.TypeSymlink}

// name counts a name of an inode, which is read when its first name is met.
func (c *checker) name(d *todo, name string, nid uint64, typ byte) (*todo, error) {
	f := c.files[nid]
	var sub *todo
	if f == nil {
		if int64(len(c.files)) >= c.inodes {
			return nil, fmt.Errorf("more inodes than the superblock counts")
		}
		i, data, err := c.inode(nid)
		if err != nil {
			return nil, err
		}
		f = &file{mode: i.mode, nlink: i.nlink}
		c.files[nid] = f
		if i.mode&erofs.ModeType == erofs.ModeDir {
			f.names = 1 // its own "."
			c.files[d.nid].names++
			if sub = (&todo{nid, d, name, d.depth + 1, data}); sub.depth > maxDepth {
				return nil, fmt.Errorf("deeper than %d directories", maxDepth)
			}
		}
	} else if f.mode&erofs.ModeType == erofs.ModeDir {
		return nil, fmt.Errorf("a second name of directory %d", nid)
	}
	f.names++
	if types[f.mode&erofs.ModeType] != typ {
		return nil, fmt.Errorf("type %d, but the mode of its inode is %#o", typ, f.mode)
	}
	return sub, nil
}

// maxDepth is what package toc allows.
const maxDepth = 512

// entries takes one block of a directory apart: a table of fixed entries, then the names without gaps.
func entries(b []byte, f func(name string, nid uint64, typ byte) error) error {
	if len(b) < erofs.DirentSize {
		return fmt.Errorf("a block of %d bytes", len(b))
	}
	first := int(u16(b[8:]))
	if first == 0 || first%erofs.DirentSize != 0 || first > len(b) {
		return fmt.Errorf("the first name is at %d", first)
	}
	count := first / erofs.DirentSize
	at := first
	for n := range count {
		e := b[n*erofs.DirentSize:]
		end := len(b)
		if n+1 < count {
			end = int(u16(b[(n+1)*erofs.DirentSize+8:]))
		}
		if int(u16(e[8:])) != at || end <= at || end > len(b) {
			return fmt.Errorf("a name is at %d, not at %d", u16(e[8:]), at)
		}
		raw := b[at:end]
		if n+1 == count { // the last name ends with the block, or with the first of the zeros that fill it
			if i := bytes.IndexByte(raw, 0); i >= 0 {
				if !zero(raw[i:]) {
					return fmt.Errorf("bytes after the last name")
				}
				raw = raw[:i]
			}
		}
		name := string(raw)
		if name == "" || len(name) > 255 || strings.ContainsAny(name, "/\x00") || e[11] != 0 {
			return fmt.Errorf("the name %.255q is not legal", name)
		}
		if err := f(name, u64(e), e[10]); err != nil {
			return err
		}
		at = end
	}
	return nil
}
