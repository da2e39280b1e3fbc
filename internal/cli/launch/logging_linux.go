package launch

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writeLogging leaves for brigd how it is to log, in the directory that is all it sees of RUN: the processes between have
// no opinion about it. The directory is brigd's, which may have been conquered in an earlier life: no link in it is followed.
func writeLogging(o Options) error {
	dir := filepath.Join(o.Run, "daemon")
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	defer unix.Close(at)
	if err := unix.Unlinkat(at, "logging", 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("%s/logging: %w", dir, err)
	}
	if o.LogFormat == LogFormats[0] && o.LogLevel == LogLevels[0] || o.LogFormat == "" {
		return nil
	}
	fd, err := unix.Openat(at, "logging", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("%s/logging: %w", dir, err)
	}
	f := os.NewFile(uintptr(fd), "logging")
	defer f.Close()
	if err := f.Chmod(0o644); err != nil { // whatever the umask is
		return err
	}
	_, err = fmt.Fprintf(f, "%s %s\n", o.LogFormat, o.LogLevel)
	return err
}
