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

// ErrNoPolicy: Debian's archive does not have what an SELinux policy is made of, or cannot be asked.
var ErrNoPolicy = errors.New("no SELinux policy of Debian's is to be had")

// policyPackages are Debian's policy, and semodule with what it needs to run in a root of its own.
const policyPackages = "selinux-policy-default policycoreutils libsemanage2 libsemanage-common libsepol2 libselinux1 libaudit1 " +
	"libcap-ng0 libbz2-1.0 libpcre2-8-0 libc6 selinux-utils"

// FetchPolicy unpacks Debian's modules below cache, where the next run finds them.
func FetchPolicy(cache string) (root string, err error) {
	dir := filepath.Join(cache, "selinux-policy")
	root = filepath.Join(dir, "tree")
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	made, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(made)
	const script = `cd "$1" && apt-get -q download $2 && for d in *.deb; do dpkg -x "$d" tree; done && rm ./*.deb`
	cmd := exec.Command("sh", "-c", script, "sh", made, policyPackages)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %w: %s", ErrNoPolicy, err, bytes.TrimSpace(out))
	}
	return root, os.Rename(made, dir)
}

// Policy compiles all of Debian's modules and one more, as its administrator would, into what a kernel loads.
func Policy(cache, module, to string) error {
	root, err := FetchPolicy(cache)
	if err != nil {
		return err
	}
	const modules = "/usr/share/selinux/default/"
	names, err := os.ReadFile(root + modules + ".modules")
	if err != nil {
		return err
	}
	name := "/" + filepath.Base(module)
	if err := errors.Join(os.RemoveAll(root+"/var/lib/selinux/default"), os.MkdirAll(root+"/var/lib/selinux", 0o755),
		os.RemoveAll(root+name), place(module, root+name)); err != nil {
		return err
	}
	args := []string{root, "/usr/sbin/semodule", "--noreload", "--store", "default"}
	for _, m := range strings.Fields(string(names)) {
		args = append(args, "--install", modules+m+".pp.bz2")
	}
	if out, err := exec.Command("chroot", append(args, "--install", name)...).CombinedOutput(); err != nil {
		return fmt.Errorf("semodule: %w: %s", err, bytes.TrimSpace(out))
	}
	made, err := filepath.Glob(root + "/etc/selinux/default/policy/policy.*")
	if err != nil || len(made) != 1 {
		return fmt.Errorf("semodule has made %q: %w", made, err)
	}
	return place(made[0], to)
}
