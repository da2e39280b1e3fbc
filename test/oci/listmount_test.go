package oci

import (
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// superMagics counts the mounts of each file system in a process's mount namespace, also those that are covered and that
// no path leads to, as listmount(2) and statmount(2) tell them.
func superMagics(t *testing.T, pid string) map[uint64]int {
	t.Helper()
	const listmount, statmount, root, basic, nsMNTID = 458, 457, ^uint64(0), 1, 0x8008b705 // NS_GET_MNTNS_ID
	f, err := os.Open("/proc/" + pid + "/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type request struct {
		size, spare      uint32
		mount, param, ns uint64
	}
	r := request{size: uint32(unsafe.Sizeof(request{})), mount: root}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), nsMNTID, uintptr(unsafe.Pointer(&r.ns))); errno != 0 {
		t.Skipf("missing: NS_GET_MNTNS_ID of Linux 6.12: %v", errno)
	}
	ids := make([]uint64, 256)
	n, _, errno := unix.Syscall6(listmount, uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&ids[0])), uintptr(len(ids)), 0, 0, 0)
	if errno != 0 {
		t.Skipf("missing: listmount of Linux 6.11: %v", errno)
	}
	found := map[uint64]int{}
	for _, id := range ids[:n] {
		r.mount, r.param = id, basic
		var answer struct { // struct statmount up to the magic number
			size, spare  uint32
			mask         uint64
			major, minor uint32
			magic        uint64
			rest         [472]byte
		}
		if _, _, errno := unix.Syscall6(statmount, uintptr(unsafe.Pointer(&r)), uintptr(unsafe.Pointer(&answer)), unsafe.Sizeof(answer), 0, 0, 0); errno != 0 {
			t.Fatal(fmt.Errorf("statmount: %w", errno))
		}
		found[answer.magic]++
	}
	return found
}
