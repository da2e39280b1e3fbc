// Package mount makes detached mounts: file systems and trees that exist as a descriptor only, at no path.
//
// Zone: brig-warden (root). Input: file system names and options that the warden chose. Output: descriptors of mounts.
// Spec: fsopen(2), fsmount(2). Answers: A3 (no path, so no race for a path).
package mount

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Option is one parameter of a file system: a string, a descriptor or a flag.
type Option struct {
	key string
	set func(fs int) error
}

// String is a parameter with a text.
func String(key, value string) Option {
	return Option{key, func(fs int) error { return unix.FsconfigSetString(fs, key, value) }}
}

// Octal is a parameter with permission bits.
func Octal(key string, v uint32) Option { return String(key, fmt.Sprintf("%o", v)) }

// UInt is a parameter with a number.
func UInt(key string, v uint32) Option { return String(key, fmt.Sprint(v)) }

// FD is a parameter with a descriptor.
func FD(key string, fd int) Option {
	return Option{key, func(fs int) error { return unix.FsconfigSetFd(fs, key, fd) }}
}

// Flag is a parameter without a value.
func Flag(key string) Option {
	return Option{key, func(fs int) error { return unix.FsconfigSetFlag(fs, key) }}
}

// Context has all files of the instance labelled so by SELinux, whatever they are labelled on disk; "" leaves it out.
func Context(label string) Option {
	return Option{"context " + label, func(fs int) error {
		if label == "" {
			return nil
		}
		return unix.FsconfigSetString(fs, "context", label)
	}}
}

// New makes a file system instance and a detached mount of it with MOUNT_ATTR_* attributes. The error has the kernel's
// own explanation where it gave one.
func New(fstype string, attr int, options ...Option) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	defer unix.Close(fs)
	for _, o := range options {
		if err := o.set(fs); err != nil {
			return -1, fmt.Errorf("%s: option %s: %w%s", fstype, o.key, err, explain(fs))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("%s: create: %w%s", fstype, err, explain(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return -1, fmt.Errorf("%s: mount: %w%s", fstype, err, explain(fs))
	}
	return fd, nil
}

// explain reads the messages of the context: "e ", "w " or "i " and a text.
func explain(fs int) string {
	var texts []string
	b := make([]byte, 512)
	for len(texts) < 8 {
		n, err := unix.Read(fs, b)
		if err != nil || n < 3 {
			break
		}
		texts = append(texts, strings.TrimSpace(string(b[2:n])))
	}
	if len(texts) == 0 {
		return ""
	}
	return " (" + strings.Join(texts, "; ") + ")"
}
