package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// loopOf is the loop device of a file: the one that containers of an earlier engine still have, or a new one, which is gone
// with its last mount.
func loopOf(f *os.File) (*os.File, error) {
	if loop := attached(f); loop != nil {
		return loop, nil
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 64 { // somebody else may take the device that was free
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("no loop device is free: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = configure(loop, f)
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("%s: %w", loop.Name(), err)
		}
	}
	return nil, fmt.Errorf("every loop device that was free was taken: %w", unix.EBUSY)
}

// configure attaches the file past the page cache of its file system, or through it where that does not work.
func configure(loop, f *os.File) error {
	config := unix.LoopConfig{Fd: uint32(f.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	err := unix.IoctlLoopConfigure(int(loop.Fd()), &config)
	if errors.Is(err, unix.EINVAL) {
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
	}
	return err
}

// attached finds the device that has a file already; nil if none has.
func attached(f *os.File) *os.File {
	var file unix.Stat_t
	if unix.Fstat(int(f.Fd()), &file) != nil {
		return nil
	}
	blocks, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range blocks {
		loop, err := os.OpenFile("/dev/"+filepath.Base(filepath.Dir(filepath.Dir(path))), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if s, err := unix.IoctlLoopGetStatus64(int(loop.Fd())); err == nil && s.Device == file.Dev && s.Inode == file.Ino {
			return loop
		}
		loop.Close()
	}
	return nil
}
