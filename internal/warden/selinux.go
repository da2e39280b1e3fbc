package warden

import (
	"cmp"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/path"
	"github.com/brig-engine/brig/internal/warden/idmap"
	"github.com/brig-engine/brig/internal/wire"
)

// The types of a container's files, and of those that all containers read and execute, in the policies of distributions.
const ownFiles, imageFiles = "container_file_t", "container_ro_file_t"

// ownLevel is that of a sandbox: no two ranges have the same two categories.
func ownLevel(base uint32) string {
	n := (base - firstIDs) / idmap.Size
	return fmt.Sprintf("s0:c%d,c%d", n%512, 512+n/512)
}

// label is one of files; "": there is no SELinux.
func (w *Warden) label(kind, level string) string {
	if !w.facts.SELinux {
		return ""
	}
	return "system_u:object_r:" + kind + ":" + level
}

// setLabel labels what the engine has made for containers.
func setLabel(name, label string) error {
	if label == "" {
		return nil
	}
	return os.NewSyscallError("label "+name, unix.Setxattr(name, "security.selinux", []byte(label), 0))
}

// labels are those of a container whose files have this level.
func (b *birth) labels(level string) {
	s, label := &b.made.Started, b.want.Label
	if s.MountLabel = b.w.label(ownFiles, level); s.MountLabel != "" && label != "disable" {
		s.ProcessLabel = cmp.Or(label, "system_u:system_r:container_t") + ":" + level
	}
	b.host.ProcessLabel, b.host.MountLabel = s.ProcessLabel, s.MountLabel
}

// outside are directories that programs outside of containers need: what is in one may be relabelled, but not all of it.
const outside = " / /bin /boot /etc /home /lib /lib64 /media /opt /root /run /sbin /srv /tmp /usr /var /var/lib /var/log /etc/passwd /etc/shadow "

// relabel gives what is mounted, without what is mounted below it, the label that its caller asked for. A worker does it, as
// root of the sandbox, whose ids are the caller's alone there: what belongs to others keeps its label.
func (b *birth) relabel(m *wire.Mount, fd int) error {
	label := b.made.Started.MountLabel
	if m.Relabel == "" || label == "" {
		return nil
	}
	if m.Relabel == "z" {
		label = b.w.label(ownFiles, "s0")
	}
	top, err := unix.Open(path.Proc(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(top)
		err = b.w.errand(b.filler, wire.Errand{Kind: wire.JobLabel, Label: label}, top)
	}
	return err
}
