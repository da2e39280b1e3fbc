package layer

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/brig-engine/brig/internal/worker/toc"
)

const blockSize = 512

// block is one header block of a tar.
type block [blockSize]byte

// format is the dialect of a header.
type format uint8

const (
	formatV7 format = iota
	formatUSTAR
	formatSTAR
	formatGNU
)

// header is one header as read, before its extensions are merged.
type header struct {
	typ          byte
	format       format
	name, link   string
	mode         int64
	uid, gid     int64
	size         int64
	mtime        int64
	mtimeNs      uint32
	sparse       []fragment // physical fragments; nil for a plain file
	logical      int64      // logical size of a sparse file
	isSparse     bool
	xattrs       []toc.Xattr
	sparseHeader int64 // bytes of the body that held the sparse map
}

// fragment is a stretch of a sparse file that is stored.
type fragment struct{ off, n int64 }

func (b *block) isZero() bool { return *b == block{} }

// sumsMatch compares the checksum, which old programs computed over signed bytes.
func (b *block) sumsMatch() bool {
	want, ok := octal(b[148:156])
	if !ok {
		return false
	}
	var unsigned, signed int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}

func (b *block) dialect() format {
	switch {
	case string(b[257:263]) == "ustar\x00" && string(b[508:512]) == "tar\x00":
		return formatSTAR
	case string(b[257:263]) == "ustar\x00":
		return formatUSTAR
	case string(b[257:265]) == "ustar  \x00":
		return formatGNU
	}
	return formatV7
}

// parse reads the fixed fields. ok is false if a number in them is malformed.
func (b *block) parse() (h *header, ok bool) {
	f := b.dialect()
	h = &header{typ: b[156], format: f, name: text(b[0:100]), link: text(b[157:257])}
	ok = true
	num := func(field []byte) int64 {
		v, good := numeric(field)
		ok = ok && good
		return v
	}
	h.mode, h.uid, h.gid = num(b[100:108]), num(b[108:116]), num(b[116:124])
	h.size, h.mtime = num(b[124:136]), num(b[136:148])
	if f != formatV7 {
		num(b[329:337])
		num(b[337:345])
	}
	var prefix string
	switch f {
	case formatUSTAR:
		prefix = text(b[345:500])
	case formatSTAR:
		prefix = text(b[345:476])
	}
	if prefix != "" {
		h.name = prefix + "/" + h.name
	}
	return h, ok && h.size >= 0
}

// text is a field up to its first NUL.
func text(field []byte) string {
	if i := bytes.IndexByte(field, 0); i >= 0 {
		field = field[:i]
	}
	return string(field)
}

// octal reads a field of octal digits, padded with spaces and NULs; an empty field is 0.
func octal(field []byte) (int64, bool) {
	field = bytes.Trim(field, " \x00")
	if len(field) == 0 {
		return 0, true
	}
	v, err := strconv.ParseUint(text(field), 8, 63)
	return int64(v), err == nil
}

// numeric reads a field that is octal, or with its highest bit set a two's complement number in base 256.
func numeric(field []byte) (int64, bool) {
	if len(field) == 0 || field[0]&0x80 == 0 {
		return octal(field)
	}
	var invert byte
	if field[0]&0x40 != 0 {
		invert = 0xff
	}
	var v uint64
	for i, c := range field {
		c ^= invert
		if i == 0 {
			c &= 0x7f
		}
		if v>>56 != 0 {
			return 0, false
		}
		v = v<<8 | uint64(c)
	}
	if v>>63 != 0 {
		return 0, false
	}
	if invert == 0xff {
		return ^int64(v), true
	}
	return int64(v), true
}

// records parses the body of an extended header. The two keys of the oldest sparse format repeat; they are gathered
// into the one key of the next format, in order.
func records(body string) (map[string]string, error) {
	out := map[string]string{}
	var sparse []string
	for body != "" {
		num, rest, ok := strings.Cut(body, " ")
		n, err := strconv.ParseUint(num, 10, 31)
		if !ok || err != nil || int(n) < len(num)+3 || int(n) > len(body) || body[n-1] != '\n' {
			return nil, toc.Invalid("a record of an extended header is malformed")
		}
		rest = body[len(num)+1 : n-1]
		body = body[n:]
		key, value, ok := strings.Cut(rest, "=")
		if !ok || !validRecord(key, value) {
			return nil, toc.Invalid("the record %.60q of an extended header is malformed", rest)
		}
		switch key {
		case "GNU.sparse.offset", "GNU.sparse.numbytes":
			if len(sparse)%2 == 0 != (key == "GNU.sparse.offset") || strings.Contains(value, ",") {
				return nil, toc.Invalid("the sparse map of an extended header is malformed")
			}
			sparse = append(sparse, value)
		default:
			out[key] = value
		}
	}
	if len(sparse) > 0 {
		out["GNU.sparse.map"] = strings.Join(sparse, ",")
	}
	return out, nil
}

func validRecord(key, value string) bool {
	if key == "" {
		return false
	}
	switch key {
	case "path", "linkpath", "uname", "gname":
		return strings.IndexByte(value, 0) < 0
	}
	return strings.IndexByte(key, 0) < 0
}

// merge puts the records of an extended header into h.
func (h *header) merge(rec map[string]string) error {
	for key, value := range rec {
		if value == "" {
			continue // the value of the fixed header stays
		}
		var err error
		switch key {
		case "path":
			h.name = value
		case "linkpath":
			h.link = value
		case "uid":
			h.uid, err = strconv.ParseInt(value, 10, 64)
		case "gid":
			h.gid, err = strconv.ParseInt(value, 10, 64)
		case "size":
			h.size, err = strconv.ParseInt(value, 10, 64)
		case "mtime":
			h.mtime, h.mtimeNs, err = seconds(value)
		case "atime", "ctime":
			_, _, err = seconds(value)
		default:
			if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
				h.xattrs = append(h.xattrs, toc.Xattr{Name: name, Value: value})
			}
		}
		if err != nil {
			return toc.Invalid("the value %.40q of %s in an extended header", value, key)
		}
	}
	if h.size < 0 {
		return toc.Invalid("a negative size")
	}
	h.xattrs = toc.SortXattrs(h.xattrs)
	return nil
}

// seconds reads a decimal time, rounded down to nanoseconds.
func seconds(s string) (int64, uint32, error) {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || frac == "" {
		return sec, 0, err
	}
	if strings.Trim(frac, "0123456789") != "" {
		return 0, 0, strconv.ErrSyntax
	}
	ns, err := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	if strings.HasPrefix(whole, "-") && ns > 0 {
		sec, ns = sec-1, 1_000_000_000-ns
	}
	return sec, uint32(ns), err
}
