package layer

import (
	"strconv"
	"strings"

	"github.com/brig-engine/brig/internal/worker/toc"
)

// maxFragments bounds the map of one sparse file.
const maxFragments = 1 << 18

// sparseRecords finds out whether the records describe a sparse file, and takes name and size from them. inBody says
// that the map stands at the start of the body.
func (h *header) sparseRecords(rec map[string]string) (inBody bool, err error) {
	major, minor, list := rec["GNU.sparse.major"], rec["GNU.sparse.minor"], rec["GNU.sparse.map"]
	switch {
	case major == "0" && (minor == "0" || minor == "1"):
	case major == "1" && minor == "0":
		inBody = true
	case major != "" || minor != "" || list == "":
		return false, nil
	}
	h.isSparse, h.logical = true, h.size
	if name := rec["GNU.sparse.name"]; name != "" {
		h.name = name
	}
	size := rec["GNU.sparse.size"]
	if size == "" {
		size = rec["GNU.sparse.realsize"]
	}
	if size != "" {
		if h.logical, err = strconv.ParseInt(size, 10, 64); err != nil {
			return false, toc.Invalid("the size %.40q of a sparse file", size)
		}
	}
	if inBody {
		return true, nil
	}
	n, err := strconv.ParseInt(rec["GNU.sparse.numblocks"], 10, 64)
	if err != nil {
		return false, toc.Invalid("the number of fragments %.40q of a sparse file", rec["GNU.sparse.numblocks"])
	}
	var nums []string
	if list != "" {
		nums = strings.Split(list, ",")
	}
	if n < 0 || n > maxFragments || int64(len(nums)) != 2*n {
		return false, toc.Invalid("the map of a sparse file has %d numbers for %d fragments", len(nums), n)
	}
	for i := 0; i < len(nums); i += 2 {
		off, err1 := strconv.ParseInt(nums[i], 10, 64)
		k, err2 := strconv.ParseInt(nums[i+1], 10, 64)
		if err1 != nil || err2 != nil {
			return false, toc.Invalid("the map of a sparse file has a malformed number")
		}
		h.sparse = append(h.sparse, fragment{off, k})
	}
	return false, nil
}

// sparseBody reads the map at the start of the body (format 1.0): decimal numbers, one a line, padded to a block.
func (p *parser) sparseBody(h *header) error {
	var line []byte
	var nums []int64
	want := int64(1)
	for int64(len(nums)) < want {
		b, err := p.block()
		if err != nil {
			return err
		}
		h.sparseHeader += blockSize
		for _, c := range b {
			if c != '\n' {
				if line = append(line, c); len(line) > 20 {
					return toc.Invalid("the map of a sparse file has a malformed number")
				}
				continue
			}
			v, err := strconv.ParseInt(string(line), 10, 64)
			if err != nil || v < 0 {
				return toc.Invalid("the map of a sparse file has a malformed number")
			}
			line = line[:0]
			if len(nums) == 0 {
				if v > maxFragments {
					return toc.Exceeded("fragments in a sparse file", maxFragments)
				}
				want = 1 + 2*v
			}
			if nums = append(nums, v); int64(len(nums)) == want {
				break
			}
		}
	}
	for i := 1; i < len(nums); i += 2 {
		h.sparse = append(h.sparse, fragment{nums[i], nums[i+1]})
	}
	return nil
}

// sparseGNU reads the map of the old GNU format: four fragments in the header, 21 in each block that follows.
func (p *parser) sparseGNU(h *header, b *block) error {
	h.isSparse = true
	var ok bool
	if h.logical, ok = numeric(b[483:495]); !ok {
		return toc.Invalid("the size of a sparse file")
	}
	entries, more := b[386:482], b[482] != 0
	for {
		for ; len(entries) > 0 && entries[0] != 0; entries = entries[24:] {
			off, ok1 := numeric(entries[:12])
			n, ok2 := numeric(entries[12:24])
			if !ok1 || !ok2 {
				return toc.Invalid("the map of a sparse file has a malformed number")
			}
			h.sparse = append(h.sparse, fragment{off, n})
		}
		if len(h.sparse) > maxFragments {
			return toc.Exceeded("fragments in a sparse file", maxFragments)
		}
		if !more {
			return nil
		}
		next, err := p.block()
		if err != nil {
			return err
		}
		entries, more = next[:504], next[504] != 0
	}
}

// checkSparse holds the map against the sizes: ascending, without overlap, and exactly as long as what is stored.
func (h *header) checkSparse() error {
	if h.logical < 0 || h.logical > toc.MaxFileSize {
		return toc.Exceeded("bytes in one file", toc.MaxFileSize)
	}
	var at, stored int64
	for _, f := range h.sparse {
		if f.off < at || f.n < 0 || f.n > h.logical-f.off {
			return toc.Invalid("the map of a sparse file overlaps or leaves the file")
		}
		at = f.off + f.n
		stored += f.n
	}
	if stored != h.size-h.sparseHeader {
		return toc.Invalid("the map of a sparse file does not match what is stored: %d bytes of %d", stored,
			h.size-h.sparseHeader)
	}
	return nil
}
