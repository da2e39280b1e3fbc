package vm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoSystemd: Debian's archive does not have what a machine with systemd is made of, or cannot be asked.
var ErrNoSystemd = errors.New("no root file system with Debian's systemd is to be had")

// FetchSystemd makes the archive of a root file system with systemd and more packages below cache, where the next run finds it by
// name. Nothing of it is executed here, and no package configured.
func FetchSystemd(cache, name string, more ...string) (archive string, err error) {
	archive = filepath.Join(cache, name+"-bookworm.tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	made := archive + ".new"
	packages := strings.Join(append([]string{"systemd", "dash", "coreutils", "mount"}, more...), ",")
	cmd := exec.Command("mmdebstrap", "--quiet", "--format=tar", "--variant=extract", "--include="+packages, "bookworm", made)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("%w: mmdebstrap: %w: %s", ErrNoSystemd, err, bytes.TrimSpace(out)), os.RemoveAll(made))
	}
	return archive, os.Rename(made, archive)
}

// unpackSystemd unpacks the root file system of a machine, and gives the texts that are its own.
func unpackSystemd(dir string, m Machine) (texts map[string]string, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.Command("tar", "-C", dir, "-xf", m.Systemd).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w: %s", m.Systemd, err, bytes.TrimSpace(out))
	}
	return map[string]string{"sbin/init": systemdScript, "etc/systemd/system/tests.service": systemdService,
		"etc/machine-id": "0123456789abcdef0123456789abcdef\n", "vm/tests": fmt.Sprintf(systemdTests, m.Timeout, m.Run)}, nil
}
