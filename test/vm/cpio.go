package vm

import (
	"bytes"
	"fmt"
)

// cpio writes the archive that the kernel unpacks as its first root: format newc, of
// Documentation/driver-api/early-userspace/buffer-format.rst.
type cpio struct{ bytes.Buffer }

const (
	cpioDir  = 0o040755
	cpioFile = 0o100755
)

func (c *cpio) add(name string, mode int, content []byte) {
	fmt.Fprintf(c, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	c.pad()
	c.Write(content)
	c.pad()
}

func (c *cpio) pad() { c.Write(make([]byte, -c.Len()&3)) }

// end closes the archive.
func (c *cpio) end() []byte {
	c.add("TRAILER!!!", 0, nil)
	return c.Bytes()
}
