package vm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// Kernel is one of Debian's, unpacked and never installed.
type Kernel struct {
	Image   string // bzImage
	Modules string // directory lib/modules/VERSION with the tables of depmod
	Version string
}

// ErrNoKernel: Debian's archive does not have what the tests want, or cannot be asked.
var ErrNoKernel = errors.New("no Debian kernel 6.1 for clouds is to be had")

// FetchKernel unpacks the newest 6.1 for clouds below cache, where the next run finds it.
func FetchKernel(cache string) (*Kernel, error) {
	out, err := exec.Command("apt-cache", "pkgnames", "linux-image-6.1.0-").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: apt-cache: %w", ErrNoKernel, err)
	}
	version := newest(string(out))
	if version == "" {
		return nil, fmt.Errorf("%w: the package lists have none. Next: apt-get update", ErrNoKernel)
	}
	dir := filepath.Join(cache, "linux-"+version)
	k := &Kernel{
		Image:   filepath.Join(dir, "boot", "vmlinuz-"+version),
		Modules: filepath.Join(dir, "lib", "modules", version), Version: version,
	}
	if _, err := os.Stat(dir); err == nil {
		return k, nil
	}
	made, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(made)
	if err := unpack(made, version); err != nil {
		return nil, err
	}
	return k, os.Rename(filepath.Join(made, "tree"), dir)
}

// newest picks from names of packages the version with the highest number after 6.1.0-.
func newest(names string) string {
	found := regexp.MustCompile(`(?m)^linux-image-(6\.1\.0-(\d+)-cloud-amd64)$`).FindAllStringSubmatch(names, -1)
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b []string) int {
		left, _ := strconv.Atoi(a[2])
		right, _ := strconv.Atoi(b[2])
		return left - right
	})[1]
}

func unpack(dir, version string) error {
	script := `cd "$1" && apt-get -q download "linux-image-$2" && dpkg -x ./*.deb tree && exec busybox depmod -b tree "$2"`
	cmd := exec.Command("sh", "-c", script, "sh", dir, version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %w: %s", ErrNoKernel, err, bytes.TrimSpace(out))
	}
	return nil
}
