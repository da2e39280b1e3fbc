// disk writes the empty btrfs that an engine's image for containers and volumes begins as (internal/cli/launch/disk), so
// that nothing has to be formatted where engines run. It needs root and the programs of btrfs-progs, and its result is
// committed: each of its blocks has an id of its own, so that two runs are never the same.
//
//	go run ./dist/disk -o internal/cli/launch/disk/empty.gz
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// size is the least that btrfs can be made in; the image grows to its file when it is mounted.
const size = 64 << 20

// block is the unit of what is written: what is all zeros is left out.
const block = 4096

func main() {
	out := flag.String("o", "internal/cli/launch/disk/empty.gz", "file to write")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "disk:", err)
		os.Exit(1)
	}
}

func write(out string) error {
	dir, err := os.MkdirTemp("", "disk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	image := filepath.Join(dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Truncate(image, size), os.Mkdir(dir+"/mnt", 0o700)); err != nil {
		return err
	}
	for _, args := range [][]string{
		// Features that Linux 6.1 has. What would lie twice on one disk lies there once.
		{"mkfs.btrfs", "-q", "-m", "single", "-d", "single", "-R", "quota,free-space-tree", image},
		// mkfs.btrfs leaves the counting to the kernel, which writes the result down when it is mounted once.
		{"mount", "-o", "loop", image, dir + "/mnt"},
		{"btrfs", "quota", "rescan", "-w", dir + "/mnt"},
		{"umount", dir + "/mnt"},
		// The superblock alone says what the file system is called: an engine writes another id there, and no other block.
		{"btrfstune", "-f", "-m", image},
	} {
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, text)
		}
	}
	b, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	return os.WriteFile(out, pack(b), 0o644)
}

// pack is a list of blocks, each behind its offset.
func pack(image []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	for at := 0; at < len(image); at += block {
		if b := image[at:min(at+block, len(image))]; len(bytes.Trim(b, "\x00")) > 0 {
			binary.Write(z, binary.LittleEndian, uint64(at))
			z.Write(b)
		}
	}
	z.Close()
	return out.Bytes()
}
