// Package trial runs packet programs on packets that nobody sends, for tests.
//
// Zone: tests. Input: a program and a packet of the test. Output: the program's verdict. Spec: bpf(2).
package trial

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Run runs the program of the descriptor prog once on packet (at least 14 bytes) and returns its verdict.
func Run(prog int, packet []byte) (uint32, error) {
	if len(packet) < 14 {
		return 0, fmt.Errorf("run program: a packet of %d bytes has no Ethernet header: %w", len(packet), unix.EINVAL)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&packet[0])
	a := struct {
		prog, verdict, sizeIn, sizeOut uint32
		dataIn, dataOut                uint64
		repeat, duration               uint32
	}{prog: uint32(prog), sizeIn: uint32(len(packet)), dataIn: uint64(uintptr(unsafe.Pointer(&packet[0])))}
	_, _, e := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
	if e != 0 {
		return 0, fmt.Errorf("run program: %w", e)
	}
	return a.verdict, nil
}
