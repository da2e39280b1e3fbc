package warden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/mount"
	"github.com/brig-engine/brig/internal/warden/cgroup"
	"github.com/brig-engine/brig/internal/wire"
)

// openMachine reads what who started the engine has found out and made: where it runs, and its control groups.
func (w *Warden) openMachine() (err error) {
	m := &w.facts.Machine
	if err = readJSON(filepath.Join(w.cfg.Run, wire.MachineFile), m); err == nil {
		w.parent, err = cgroup.OpenParent(m.Groups)
	}
	if err != nil {
		return fmt.Errorf("what is known about this machine: %w. Next: brig engine start", err)
	}
	w.host.ExecByFD, w.host.LastCap = m.ExecByFD, m.LastCap
	w.proc, err = mount.New("proc", 0)
	return err
}

// growDisk looks often enough for the image to grow before what writes at the speed of memory has filled it.
func (w *Warden) growDisk() {
	for ; ; time.Sleep(250 * time.Millisecond) {
		if err := w.disk.Grow(); err != nil {
			w.log("grow the disk of containers: %v", err)
		}
	}
}

func (w *Warden) routerStatePath() string { return filepath.Join(w.cfg.Run, "router.json") }

// needed are the capabilities that the warden keeps; it gives up the rest of root's before it reads the first message.
var needed = mask(unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_SYS_PTRACE, unix.CAP_SYS_RESOURCE, unix.CAP_KILL,
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_SETUID, unix.CAP_SETGID,
	unix.CAP_SETPCAP, unix.CAP_SETFCAP, unix.CAP_MKNOD, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_NICE)

// harden makes this process unreadable for whoever enters a container with it (traps 13), gives it mounts of its own
// that follow the host's, and drops the capabilities that it never uses.
func harden() error {
	if err := errors.Join(os.NewSyscallError("become non-dumpable", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)),
		os.WriteFile("/proc/self/comm", []byte("brig-warden"), 0),
		os.NewSyscallError("make the mounts follow the host's", unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""))); err != nil {
		return err
	}
	return cred.Drop(needed)
}
