package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// firstModules are those that the root disk needs, in the order of their dependencies; all others are on that disk.
var firstModules = []string{"virtio/virtio_ring", "virtio/virtio", "virtio/virtio_pci_modern_dev", "virtio/virtio_pci_legacy_dev",
	"virtio/virtio_pci", "block/virtio_blk"}

// firstScript is /init of the initial root. A container's root cannot be pivoted into from there, hence the disk.
const firstScript = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
for m in %s; do $b insmod /$m.ko; done
$b mount -t ext4 /dev/vda /root
$b mount -o move /dev /root/dev
exec $b switch_root /root /sbin/init
`

// script is /sbin/init of the disk: what a distribution mounts, then the tests, whose words go out at the second serial port.
const script = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin HOME=/root TMPDIR=/data
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev shm /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 run /run
mount -t tmpfs -o nosuid,nodev tmp /tmp
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup
[ ! -d /sys/fs/selinux ] || mount -t selinuxfs selinuxfs /sys/fs/selinux
mount --make-rshared /
modprobe -a loop overlay erofs quota_v2
echo 8 >/proc/sys/vm/nr_hugepages
mount -t ext4 /dev/vdb /data
mount -t ext4 -o prjquota /dev/vdc /quota
ip link set lo up
cd /vm
stty raw -echo </dev/ttyS1
./guest.test -test.v=test2json -test.timeout=%s -test.run='%s' </dev/null >/dev/ttyS1 2>&1
echo "exit status $?"
sync
poweroff -f
`

// systemdScript is /sbin/init where systemd mounts and starts: its one service are the tests.
const systemdScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
modprobe -a loop overlay
umount /proc
exec /lib/systemd/systemd --unit=tests.service
`

const systemdService = "[Service]\nType=oneshot\nExecStart=/vm/tests\n"

// systemdTests is the program of that service.
const systemdTests = `#!/bin/busybox sh
export PATH=/bin:/sbin HOME=/root TMPDIR=/data
mount -t ext4 /dev/vdb /data
cd /vm
stty raw -echo </dev/ttyS1
./guest.test -test.v=test2json -test.timeout=%s -test.run='%s' </dev/null >/dev/ttyS1 2>&1
echo "exit status $?" >/dev/ttyS0
sync
poweroff -f
`

// moduleDirs are the parts of the kernel's modules that an engine may load.
var moduleDirs = []string{"fs", "net", "lib", "crypto", "drivers/net", "drivers/block", "drivers/virtio"}

// firstRoot makes the initial root's archive.
func firstRoot(k *Kernel, busybox []byte) ([]byte, error) {
	var c cpio
	for _, dir := range []string{"bin", "dev", "root", "virtio", "block"} {
		c.add(dir, cpioDir, nil)
	}
	c.add("bin/busybox", cpioFile, busybox)
	c.add("init", cpioFile, fmt.Appendf(nil, firstScript, strings.Join(firstModules, " ")))
	for _, m := range firstModules {
		b, err := os.ReadFile(filepath.Join(k.Modules, "kernel", "drivers", m+".ko"))
		if err != nil {
			return nil, err
		}
		c.add(m+".ko", cpioFile, b)
	}
	return c.end(), nil
}

// rootTree lays out the root file system in dir, where one of a distribution may be. Files are links or copies: nobody writes to them.
func rootTree(dir string, k *Kernel, texts, files map[string]string) error {
	for _, d := range []string{"bin", "dev", "proc", "sys", "run", "tmp", "data", "quota", "root", "etc", "vm", "var/lib", "lib"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	all := map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n",
		"etc/group":  "root:x:0:\ntty:x:5:\nuser:x:1000:\n",
		"etc/hosts":  "127.0.0.1 localhost\n", "etc/resolv.conf": "",
	}
	maps.Copy(all, texts)
	for name, content := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/bin/busybox", filepath.Join(dir, "sbin/modprobe")); err != nil && !errors.Is(err, fs.ErrExist) { // the kernel calls it
		return err
	}
	for to, from := range files {
		if err := place(from, filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	modules := filepath.Join(dir, "lib", "modules", k.Version)
	tables, err := filepath.Glob(filepath.Join(k.Modules, "modules.*"))
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := place(t, filepath.Join(modules, filepath.Base(t))); err != nil {
			return err
		}
	}
	for _, d := range moduleDirs {
		if err := os.CopyFS(filepath.Join(modules, "kernel", d), os.DirFS(filepath.Join(k.Modules, "kernel", d))); err != nil {
			return err
		}
	}
	return nil
}

func place(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, st.Mode())
}

// disk makes a sparse file with an ext4 in it, of the tree, if one is given.
func disk(path string, size int64, tree string, options ...string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(path, size); err != nil {
		return err
	}
	args := []string{"-q", "-F"}
	if tree != "" {
		args = append(args, "-d", tree)
	}
	cmd := exec.Command("mkfs.ext4", append(append(args, options...), path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
