package launch

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// leave tells brigd how it is to log, and how to bound disks, in the directory that is all it sees of RUN: the processes
// between have no opinion about it. The directory is brigd's, which may have been conquered in an earlier life: no link in
// it is followed.
func leave(o Options) error {
	logging, storage := "", ""
	if o.LogFormat != "" && (o.LogFormat != LogFormats[0] || o.LogLevel != LogLevels[0]) {
		logging = o.LogFormat + " " + o.LogLevel + "\n"
	}
	if o.Storage != (Storage{}) {
		b, err := json.Marshal(o.Storage)
		if err != nil {
			return err
		}
		storage = string(b)
	}
	dir := filepath.Join(o.Run, "daemon")
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	defer unix.Close(at)
	for name, text := range map[string]string{"logging": logging, "storage": storage, "runtime": o.Runtime} {
		if err := replace(at, name, text); err != nil {
			return fmt.Errorf("%s/%s: %w", dir, name, err)
		}
	}
	return nil
}

// replace writes a file anew, or removes it for want of a text.
func replace(dir int, name, text string) error {
	if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
		return err
	}
	if text == "" {
		return nil
	}
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := f.Chmod(0o644); err != nil { // whatever the umask is
		return err
	}
	_, err = f.WriteString(text)
	return err
}
