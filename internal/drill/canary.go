package drill

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A token marks a canary: "brig-canary-" and 32 hexadecimal digits. Attackers are given its SHA-256 only, so that what
// they find is never what they brought along.
type token string

func newToken() token {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return token("brig-canary-" + hex.EncodeToString(b[:]))
}

func (t token) hash() string {
	sum := sha256.Sum256([]byte(t))
	return hex.EncodeToString(sum[:])
}

// hostDir is a directory of the host with one secret file: nobody in a container has business there.
type hostDir struct {
	path   string
	secret token
}

func plantDir() (*hostDir, error) {
	path, err := os.MkdirTemp("", "brig-drill-canary-")
	if err != nil {
		return nil, err
	}
	d := &hostDir{path: path, secret: newToken()}
	// World-readable on purpose: permissions of the host must not be what saves the day.
	if err = os.Chmod(path, 0o755); err == nil {
		if err = os.WriteFile(d.file(), []byte(d.secret), 0o644); err == nil {
			return d, nil
		}
	}
	d.remove()
	return nil, err
}

func (d *hostDir) file() string { return filepath.Join(d.path, "secret") }
func (d *hostDir) remove()      { os.RemoveAll(d.path) }

// disturbed says how the directory was changed from outside, "" if it was not.
func (d *hostDir) disturbed() string {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return "the canary directory is gone"
	}
	for _, e := range entries {
		if e.Name() != "secret" {
			return e.Name() + " landed in a directory of the host"
		}
	}
	if b, err := os.ReadFile(d.file()); err != nil || string(b) != string(d.secret) {
		return "the host's file was overwritten"
	}
	var st unix.Stat_t
	if unix.Stat(d.file(), &st) == nil && st.Nlink != 1 {
		return "a hard link to the host's file was made"
	}
	return ""
}

// handle is the file handle of the secret: its type and bytes, which an attacker of the real world guesses (inode
// numbers are small) and the drill gives away.
func (d *hostDir) handle() (kind string, bytes string, err error) {
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, d.file(), 0)
	if err != nil {
		return "", "", fmt.Errorf("take the canary's file handle: %w", err)
	}
	return fmt.Sprint(h.Type()), hex.EncodeToString(h.Bytes()), nil
}

// disk is a loop device whose first bytes are a token: a stand-in for the host's disk, which the drill never touches.
type disk struct {
	secret       token
	major, minor uint32
	file, loop   *os.File
}

const (
	loopGetFree = 0x4C82
	diskSize    = 1 << 20
)

// plantDisk needs root and the loop driver.
func plantDisk(dir string) (*disk, error) {
	d := &disk{secret: newToken()}
	ok := false
	defer func() {
		if !ok {
			d.remove()
		}
	}()
	f, err := os.CreateTemp(dir, "disk")
	if err != nil {
		return nil, err
	}
	d.file = f
	os.Remove(f.Name())
	if _, err = f.WriteString(string(d.secret)); err == nil {
		err = f.Truncate(diskSize)
	}
	if err != nil {
		return nil, fmt.Errorf("write the canary disk: %w", err)
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 8 { // somebody else may take the free one first
		n, err := unix.IoctlRetInt(int(control.Fd()), loopGetFree)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(f.Fd())}
		config.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err != nil {
			loop.Close()
			continue
		}
		d.loop = loop
		var st unix.Stat_t
		if err := unix.Fstat(int(loop.Fd()), &st); err != nil {
			return nil, err
		}
		d.major, d.minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
		ok = true
		return d, nil
	}
	return nil, fmt.Errorf("no loop device could be configured")
}

// remove detaches the device (it clears itself when nobody has it open) and drops the file.
func (d *disk) remove() {
	if d.loop != nil {
		d.loop.Close()
	}
	if d.file != nil {
		d.file.Close()
	}
}
