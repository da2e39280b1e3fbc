package bpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kinds of programs.
const (
	SchedCLS     = unix.BPF_PROG_TYPE_SCHED_CLS
	CgroupDevice = unix.BPF_PROG_TYPE_CGROUP_DEVICE
)

// logSize is the room for the verifier's explanation, in bytes, when a program was refused.
const logSize = 64 << 10

// Call is bpf(2). attr must hold no Go pointer that is not pinned by the caller.
func Call(cmd uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
		switch e {
		case 0:
			return int(r), nil
		case unix.EAGAIN, unix.EINTR: // the verifier was interrupted by a signal
		default:
			return -1, e
		}
	}
}

type loadAttr struct {
	kind, count    uint32
	insns, license uint64
	logLevel       uint32
	logSize        uint32
	log            uint64
	kernel, flags  uint32
	name           [16]byte
	ifindex        uint32
	attachType     uint32
}

// LoadProgram gives code (package asm makes it) to the kernel's verifier and returns a descriptor of it, close-on-exec.
// name is for bpftool, at most 15 letters of [a-z0-9_]. A refusal carries the verifier's last lines.
func LoadProgram(kind uint32, name string, code []byte) (int, error) {
	if len(code) == 0 || len(code)%8 != 0 {
		return -1, fmt.Errorf("load program %s: %d bytes are no instructions: %w", name, len(code), unix.EINVAL)
	}
	fd, err := load(kind, name, code, nil)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) { // refused: again, to hear why
		log := make([]byte, logSize)
		if fd, err = load(kind, name, code, log); err != nil {
			err = fmt.Errorf("%w: %s", err, lastLines(unix.ByteSliceToString(log), 3))
		}
	}
	if err != nil {
		return -1, fmt.Errorf("load program %s: %w", name, err)
	}
	return fd, nil
}

func load(kind uint32, name string, code, log []byte) (int, error) {
	// The licence decides which helpers a program may call; the string is an interface of the kernel.
	license := []byte("GPL\x00")
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&code[0])
	pin.Pin(&license[0])
	a := loadAttr{
		kind: kind, count: uint32(len(code) / 8),
		insns: address(code), license: address(license),
	}
	copy(a.name[:15], name)
	if len(log) > 0 {
		pin.Pin(&log[0])
		a.logLevel, a.logSize, a.log = 1, uint32(len(log)), address(log)
	}
	return Call(unix.BPF_PROG_LOAD, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}

// AttachDevice makes prog decide about every device that a process of the control group (a directory of version 2)
// opens or makes, from now on, in place of the program old, unless that is -1. Programs of the groups above keep their say.
// The program goes away with the group.
func AttachDevice(cgroup, prog, old int) error {
	a := struct{ target, prog, kind, flags, old uint32 }{
		uint32(cgroup), uint32(prog), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI, uint32(old),
	}
	if old >= 0 {
		a.flags |= unix.BPF_F_REPLACE
	}
	_, err := Call(unix.BPF_PROG_ATTACH, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return os.NewSyscallError("attach device program", err)
}
