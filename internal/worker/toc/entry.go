package toc

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strings"

	"github.com/containerd/errdefs"
)

// Kind is the type of an entry.
type Kind uint8

// The kinds of entries. Device stands for character and block devices, which reach a tar again but no index.
const (
	Regular Kind = iota + 1
	Hardlink
	Symlink
	Dir
	Fifo
	Device
)

// Block is the unit of the data file in bytes.
const Block = 4096

// The limits of one entry.
const (
	MaxPath     = 4095 // bytes of a name or a link target: PATH_MAX without its NUL
	MaxName     = 255  // bytes of one component: NAME_MAX
	MaxDepth    = 512  // components
	MaxXattrs   = 512
	MaxXattrSum = 64 << 10 // bytes of all names and values: XATTR_LIST_MAX
	MaxChunks   = 1 << 15  // chunks of one file
	MaxFileSize = 1 << 43  // bytes, logical
	maxChunkBit = 31
)

// Xattr is one extended attribute.
type Xattr struct {
	Name  string
	Value string
}

// Extent maps Length bytes of a file at Logical to the data file at Data; all in bytes.
type Extent struct {
	Logical, Data, Length int64
}

// Entry is one entry of a layer.
type Entry struct {
	Kind     Kind
	Mode     uint16 // permission bits with setuid, setgid, sticky
	UID, GID uint32
	MTime    int64 // seconds
	MTimeNs  uint32
	Size     int64 // bytes, logical
	// Name is relative to the root, clean; "" is the root itself. Link is a clean name for Hardlink, any text for Symlink.
	Name, Link string
	Xattrs     []Xattr
	ChunkBits  uint8
	Extents    []Extent
}

// ChunkSize is the unit of the extents, in bytes.
func (e *Entry) ChunkSize() int64 { return Block << e.ChunkBits }

// Invalid makes an error of class ErrInvalidArgument.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), errdefs.ErrInvalidArgument)
}

// Exceeded makes an error of class ErrResourceExhausted that names a limit.
func Exceeded(what string, limit int64) error {
	return fmt.Errorf("more than %d %s: %w", limit, what, errdefs.ErrResourceExhausted)
}

// Clean makes a relative clean name of a name in an archive. Leading slashes mean the root; a ".." that would leave the
// root is refused, not clamped: no honest archive has one.
func Clean(name string) (string, error) {
	if len(name) > MaxPath {
		return "", Exceeded("bytes in a path", MaxPath)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", Invalid("the name %q has a NUL byte", name)
	}
	if isClean(name) {
		return name, nil
	}
	var out []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			if len(out) == 0 {
				return "", Invalid("the name %q leaves the root", name)
			}
			out = out[:len(out)-1]
		default:
			out = append(out, part)
		}
	}
	clean := strings.Join(out, "/")
	return clean, checkName(clean)
}

// isClean tells whether checkName would accept name.
func isClean(name string) bool { return checkName(name) == nil }

// checkName holds a name against the rules of a clean relative path.
func checkName(name string) error {
	if name == "" {
		return nil
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		depth++
		switch {
		case part == "" || part == "." || part == "..":
			return Invalid("the name %q is not clean", name)
		case len(part) > MaxName:
			return Exceeded("bytes in a name", MaxName)
		case depth > MaxDepth:
			return Exceeded("components in a path", MaxDepth)
		}
	}
	if len(name) > MaxPath {
		return Exceeded("bytes in a path", MaxPath)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return Invalid("the name %q has a NUL byte", name)
	}
	return nil
}

// Check holds an entry against every rule of the package comment; dataSize is the size of the data file in bytes.
func (e *Entry) Check(dataSize int64) error {
	switch {
	case e.Kind < Regular || e.Kind > Device:
		return Invalid("unknown kind %d", e.Kind)
	case e.Mode > 0o7777:
		return Invalid("mode %#o", e.Mode)
	case e.UID == ^uint32(0) || e.GID == ^uint32(0):
		return Invalid("user or group id -1")
	case e.MTimeNs > 999_999_999:
		return Invalid("%d nanoseconds", e.MTimeNs)
	case e.Kind != Regular && (e.Size != 0 || e.ChunkBits != 0 || len(e.Extents) != 0):
		return Invalid("content in what is no regular file")
	case e.Name == "" && e.Kind != Dir:
		return Invalid("the root is not a directory")
	}
	if err := checkName(e.Name); err != nil {
		return err
	}
	if err := e.checkLink(); err != nil {
		return err
	}
	if err := e.checkXattrs(); err != nil {
		return err
	}
	return e.checkExtents(dataSize)
}

func (e *Entry) checkLink() error {
	switch e.Kind {
	case Hardlink:
		if e.Link == "" {
			return Invalid("a hard link to the root")
		}
		return checkName(e.Link)
	case Symlink:
		if e.Link == "" || strings.IndexByte(e.Link, 0) >= 0 {
			return Invalid("the link target %q is empty or has a NUL byte", e.Link)
		}
		if len(e.Link) > MaxPath {
			return Exceeded("bytes in a link target", MaxPath)
		}
		return nil
	}
	if e.Link != "" {
		return Invalid("a link target in what is no link")
	}
	return nil
}

func (e *Entry) checkXattrs() error {
	if len(e.Xattrs) > MaxXattrs {
		return Exceeded("extended attributes in one entry", MaxXattrs)
	}
	sum := 0
	for i, x := range e.Xattrs {
		sum += len(x.Name) + len(x.Value)
		switch {
		case x.Name == "" || len(x.Name) > MaxName || strings.IndexByte(x.Name, 0) >= 0:
			return Invalid("the name of an extended attribute, %q", x.Name)
		case i > 0 && e.Xattrs[i-1].Name >= x.Name:
			return Invalid("extended attributes out of order")
		case sum > MaxXattrSum:
			return Exceeded("bytes of extended attributes in one entry", MaxXattrSum)
		}
	}
	return nil
}

func (e *Entry) checkExtents(dataSize int64) error {
	if e.Size < 0 || e.Size > MaxFileSize {
		return Exceeded("bytes in one file", MaxFileSize)
	}
	if e.ChunkBits > maxChunkBit {
		return Invalid("chunk bits %d", e.ChunkBits)
	}
	unit := e.ChunkSize()
	end := (e.Size + Block - 1) / Block * Block
	if (e.Size+unit-1)/unit > MaxChunks {
		return Exceeded("chunks in one file", MaxChunks)
	}
	var at int64
	for _, x := range e.Extents {
		switch {
		case x.Logical < at || x.Logical%unit != 0 || x.Length <= 0 || x.Length > end-x.Logical:
			return Invalid("extents out of order or outside their file")
		case x.Length%unit != 0 && (x.Logical+x.Length != end || x.Length%Block != 0):
			return Invalid("an extent ends inside a chunk")
		case x.Data < 0 || x.Data%Block != 0 || x.Length > dataSize-x.Data:
			return Invalid("an extent outside the data file")
		}
		at = x.Logical + x.Length
	}
	return nil
}

// encode appends the entry in the format of the package comment.
func (e *Entry) encode(b []byte) []byte {
	b = append(b, byte(e.Kind))
	for _, v := range []uint64{uint64(e.Mode), uint64(e.UID), uint64(e.GID)} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendVarint(b, e.MTime)
	b = binary.AppendUvarint(b, uint64(e.MTimeNs))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = appendString(b, e.Name)
	b = appendString(b, e.Link)
	b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
	for _, x := range e.Xattrs {
		b = appendString(b, x.Name)
		b = appendString(b, x.Value)
	}
	if e.Kind != Regular {
		return b
	}
	b = append(b, e.ChunkBits)
	b = binary.AppendUvarint(b, uint64(len(e.Extents)))
	for _, x := range e.Extents {
		b = binary.AppendUvarint(b, uint64(x.Logical))
		b = binary.AppendUvarint(b, uint64(x.Data))
		b = binary.AppendUvarint(b, uint64(x.Length))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// SortXattrs puts attributes into the order that the format wants; of equal names the last one stays.
func SortXattrs(xs []Xattr) []Xattr {
	sort.SliceStable(xs, func(i, j int) bool { return xs[i].Name < xs[j].Name })
	out := xs[:0]
	for i, x := range xs {
		if i+1 < len(xs) && xs[i+1].Name == x.Name {
			continue
		}
		out = append(out, x)
	}
	return out
}
