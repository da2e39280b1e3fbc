package tree

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"io"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/worker/toc"
)

// mark writes a mark of a layer: an empty file.
func (p *packer) mark(name string, st *unix.Stat_t) error {
	return p.record(&tar.Header{Typeflag: tar.TypeReg, Name: name}, &unix.Stat_t{Mode: 0o600, Mtim: st.Mtim})
}

// The kinds of changes, as the API counts them.
const (
	modified = iota
	added
	deleted
)

// change is one line of the API's list.
type change struct {
	Path string
	Kind int
}

// differ finds what a container has changed: it walks through what overlayfs keeps of it, and looks up each name below.
type differ struct {
	limit int64
	out   []change
}

// directory compares two directories. image is -1 where the image has none, or where the changes hide it.
func (d *differ) directory(changes, image int, prefix string, depth int) error {
	if depth > maxDepth {
		return toc.Exceeded("directories in each other", maxDepth)
	}
	names, err := list(changes)
	if err != nil {
		return err
	}
	hidden := opaque(changes)
	if hidden && image >= 0 {
		old, err := list(image)
		if err != nil {
			return err
		}
		names = append(names, old...)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	for _, name := range names {
		if err := d.name(changes, image, name, prefix, depth); err != nil {
			return err
		}
		if int64(len(d.out)) > d.limit {
			return toc.Exceeded("changes", d.limit)
		}
	}
	return nil
}

// name compares what both have under one name.
func (d *differ) name(changes, image int, name, prefix string, depth int) error {
	var now, before unix.Stat_t
	gone := unix.Fstatat(changes, name, &now, unix.AT_SYMLINK_NOFOLLOW) != nil
	had := image >= 0 && unix.Fstatat(image, name, &before, unix.AT_SYMLINK_NOFOLLOW) == nil
	at := len(d.out)
	c := change{Path: prefix + name, Kind: added}
	switch {
	case gone || isWhiteout(&now):
		if had {
			d.out = append(d.out, change{c.Path, deleted})
		}
		return nil
	case had:
		c.Kind = modified
	}
	d.out = append(d.out, c)
	if now.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	below1, err := below(changes, name, openDir, 0)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	defer unix.Close(below1)
	below2 := -1
	if had && before.Mode&unix.S_IFMT == unix.S_IFDIR {
		if below2, err = below(image, name, openDir, 0); err != nil {
			return classify(err)
		}
		defer unix.Close(below2)
	}
	if err := d.directory(below1, below2, c.Path+"/", depth+1); err != nil {
		return err
	}
	// A directory is there because something in it was opened for writing; only that is no change.
	if len(d.out) == at+1 && below2 >= 0 && same(&now, &before) {
		d.out = d.out[:at]
	}
	return nil
}

func same(a, b *unix.Stat_t) bool {
	return a.Mode == b.Mode && a.Uid == b.Uid && a.Gid == b.Gid && a.Mtim.Sec == b.Mtim.Sec
}

// write writes the list as the API has it.
func (d *differ) write(out io.Writer) error {
	w := bufio.NewWriterSize(out, 64<<10)
	w.WriteByte('[')
	for i, c := range d.out {
		if i > 0 {
			w.WriteByte(',')
		}
		b, err := json.Marshal(c)
		if err != nil {
			return err
		}
		w.Write(b)
	}
	w.WriteString("]\n")
	return w.Flush()
}
