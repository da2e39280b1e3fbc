package control

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/drill"
)

// birth is what a box is made of.
type birth struct {
	Root, User, Dir string
	Shared          []drill.SharedVolume // their names are paths of the host
	Sysctls         map[string]string
}

// become mounts what a program expects, changes the root and executes it as a user. It returns only with an error.
func become(b birth, args []string) error {
	root, user := b.Root, b.User
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind the root: %w", err)
	}
	if err := furnish(root); err != nil {
		return err
	}
	if err := b.adorn(); err != nil {
		return err
	}
	id := userID(root, user)
	if err := enter(root); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	if err := unix.Chdir(cmp.Or(b.Dir, "/")); err != nil {
		return err
	}
	// The mistake of CVE-2022-24769, and mounts that go to whoever shares them.
	header, rights := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &rights[0]); err != nil {
		return err
	}
	rights[0].Inheritable, rights[1].Inheritable = rights[0].Permitted, rights[1].Permitted
	for _, err := range []error{
		unix.Capset(&header, &rights[0]), unix.Mount("", "/", "", unix.MS_SHARED, ""),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}),
		unix.Setresgid(id, id, id), unix.Setresuid(id, id, id),
	} {
		if err != nil {
			return fmt.Errorf("be user %q: %w", user, err)
		}
	}
	return unix.Exec(args[0], args, os.Environ())
}

// enter makes root the root of the mount namespace: the kernel makes no user namespace for who is only in a chroot.
func enter(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	return unix.Chroot(".")
}

// furnish mounts by paths on the host, wherever links of the image lead.
func furnish(root string) error {
	for _, m := range []struct{ what, dir, data string }{{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"tmpfs", "/dev/shm", ""},
		{"devpts", "/dev/pts", "newinstance,ptmxmode=0666"}} {
		if err := os.MkdirAll(root+m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.what, root+m.dir, m.what, 0, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.what, err)
		}
	}
	// What is to be hidden is covered with the image's own /dev/null, wherever that leads (CVE-2025-31133).
	if _, err := os.Stat(root + "/dev/null"); err == nil {
		if err := unix.Mount(root+"/dev/null", root+"/proc/timer_list", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("hide: %w", err)
		}
	}
	for name, from := range map[string]string{"null": "/dev/null", "kmsg": "/dev/kmsg", "ptmx": root + "/dev/pts/ptmx"} {
		target := root + "/dev/" + name
		if f, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
			f.Close()
		}
		if err := unix.Mount(from, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	return nil
}

// adorn mounts volumes and sets sysctls, by paths on the host, wherever links lead (CVE-2021-30465, CVE-2025-52881).
func (b *birth) adorn() error {
	for _, v := range b.Shared {
		if err := os.MkdirAll(b.Root+v.Target, 0o777); err != nil {
			return err
		}
		if err := unix.Mount(v.Name, b.Root+v.Target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("volume at %s: %w", v.Target, err)
		}
	}
	for name, value := range b.Sysctls {
		if !strings.Contains(name, "/") {
			name = strings.ReplaceAll(name, ".", "/")
		}
		if err := os.WriteFile(b.Root+"/proc/sys/"+name, []byte(value), 0o644); err != nil {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	return nil
}

// userID is the mistake of CVE-2016-3697: a number is looked up as a name first.
func userID(root, user string) int {
	list, _ := os.ReadFile(root + "/etc/passwd")
	for _, line := range strings.Split(string(list), "\n") {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == user {
			user = f[2]
			break
		}
	}
	id, _ := strconv.Atoi(user)
	return id
}
