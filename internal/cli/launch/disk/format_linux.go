package disk

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// empty is an empty btrfs with quotas: blocks, each behind its offset (dist/disk).
//
//go:embed empty.gz
var empty []byte

const (
	block      = 4096
	superblock = 64 << 10 // where it is
	fsidAt     = 32       // in the superblock; before it is the checksum of what follows
	fsidLength = 16
)

// format writes the file system with an id of its own. Two of one id on a machine would be taken for one.
func format(f *os.File) error {
	z, err := gzip.NewReader(bytes.NewReader(empty))
	if err != nil {
		return err
	}
	var at uint64
	b := make([]byte, block)
	for {
		if err := binary.Read(z, binary.LittleEndian, &at); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("the built-in file system: %w", err)
		}
		if _, err := io.ReadFull(z, b); err != nil {
			return fmt.Errorf("the built-in file system: %w", err)
		}
		if at == superblock {
			rename(b)
		}
		if _, err := f.WriteAt(b, int64(at)); err != nil {
			return err
		}
	}
}

// rename gives a superblock another id, and its checksum.
func rename(b []byte) {
	rand.Read(b[fsidAt : fsidAt+fsidLength])
	clear(b[:fsidAt])
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[fsidAt:], crc32.MakeTable(crc32.Castagnoli)))
}
