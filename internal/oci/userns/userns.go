// Package userns makes user namespaces with any maps, that exist as descriptors only.
//
// Zone: brig-oci (root). Input: maps from the configuration of an engine. Output: descriptors.
// Spec: user_namespaces(7). Answers: A5 (the maps are the engine's; the kernel refuses those that overlap).
package userns

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
)

// New lets a child make a user namespace, writes its maps, opens it and ends the child.
func New(uids, gids []specs.LinuxIDMapping) (fd int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a user namespace: %w", err)
		}
	}()
	p := clone.New()
	p.Add(clone.Do(unix.SYS_UNSHARE, unix.CLONE_NEWUSER))
	p.Gate()
	child := clone.NewChild(0)
	defer child.Kill()
	if err = child.Start(p, nil); err == nil {
		_, err = child.Await()
	}
	if err != nil {
		return -1, err
	}
	proc := fmt.Sprintf("/proc/%d/", child.PID) // our child, and not reaped
	err = cmp.Or(os.WriteFile(proc+"uid_map", text(uids), 0), os.WriteFile(proc+"gid_map", text(gids), 0))
	if err != nil {
		return -1, err
	}
	return unix.Open(proc+"ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func text(list []specs.LinuxIDMapping) []byte {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%d %d %d\n", m.ContainerID, m.HostID, m.Size)
	}
	return []byte(b.String())
}

// Host is the id of the host behind one of a container; without maps they are the same.
func Host(list []specs.LinuxIDMapping, id uint32) uint32 {
	for _, m := range list {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + (id - m.ContainerID)
		}
	}
	return id
}
