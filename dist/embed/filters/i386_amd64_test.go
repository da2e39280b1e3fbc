package filters

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// callI386 makes a call of the 32-bit ABI, by int 0x80 from 64-bit code.
func callI386(number uint32, args ...uint32) unix.Errno {
	code := binary.LittleEndian.AppendUint32([]byte{0xb8}, number) // mov eax, number
	for i, move := range []byte{0xbb, 0xb9, 0xba, 0xbe} {          // ebx, ecx, edx, esi
		value := uint32(0)
		if i < len(args) {
			value = args[i]
		}
		code = binary.LittleEndian.AppendUint32(append(code, move), value)
	}
	code = append(code, 0xcd, 0x80, 0x48, 0x63, 0xc0, 0xc3) // int 0x80; movsxd rax, eax; ret
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(err)
	}
	copy(page, code)
	entry := uintptr(unsafe.Pointer(&page[0]))
	closure := &entry
	if got := (*(*func() int)(unsafe.Pointer(&closure)))(); got < 0 && got > -4096 {
		return unix.Errno(-got)
	}
	return 0
}
