package clone

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A cell as a child sees it in its window:
//
//	0       page: what the child reports
//	pageSize  data: strings and structures, in the order of the calls of Bytes
//	…       machine, steps
const (
	cellSize = 16 << 20
	cells    = 32 // children at once between fork and execve
	pageSize = 64
	// keepSize of a cell stay allocated between two children.
	keepSize = 256 << 10
)

// page is what a child tells. The kernel writes pid.
type page struct {
	step  uint32 // index of the step that was begun last
	errno uint32 // why that step ended the list; 0: it did not
	pid   uint32 // of stage 1, known whatever happens to stage 0
}

// memory is the memory file with the cells, and the window, which is address space and nothing else in this process.
type memory struct {
	window []byte // PROT_NONE here
	state  *spawnerState
	fd     int
	all    []byte   // the file, mapped
	free   chan int // cells that no child has
	// born is a word that the spawner shares, where the kernel writes the pid of a child before that exists: it is known even
	// if the spawner does not come to say it. No child has it.
	born *uint32
}

// shared is made when the first program is: its window is the base of every address.
var shared = sync.OnceValues(newMemory)

func newMemory() (*memory, error) {
	m := &memory{free: make(chan int, cells)}
	for i := range cells {
		m.free <- i
	}
	var err error
	// Between what nobody may touch the state of the spawner is a mapping of its own.
	const stateSize = 16 << 10
	all, err := unix.Mmap(-1, 0, cellSize+2*stateSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err == nil {
		err = unix.Mprotect(all[cellSize:][:stateSize], unix.PROT_READ|unix.PROT_WRITE)
	}
	if err != nil {
		return nil, fmt.Errorf("reserve the window of children: %w", err)
	}
	m.window, m.state = all[:cellSize], (*spawnerState)(unsafe.Pointer(&all[cellSize]))
	if m.fd, err = unix.MemfdCreate("programs", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL); err != nil {
		if m.fd, err = unix.MemfdCreate("programs", unix.MFD_CLOEXEC); err != nil { // before Linux 6.3
			return nil, fmt.Errorf("make the memory of children: %w", err)
		}
	}
	if err := unix.Ftruncate(m.fd, cells*cellSize); err != nil {
		return nil, fmt.Errorf("size the memory of children: %w", err)
	}
	if m.all, err = unix.Mmap(m.fd, 0, cells*cellSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map the memory of children: %w", err)
	}
	word, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map the word of the spawner: %w", err)
	}
	m.born = (*uint32)(unsafe.Pointer(&word[0]))
	// The spawner, and so every child, has no other child's cell.
	return m, unix.Madvise(m.all, unix.MADV_DONTFORK)
}

// base is the address of a cell in every child.
func (m *memory) base() uintptr { return uintptr(unsafe.Pointer(&m.window[0])) }

// give takes a cell back, whose child has executed its program or is reaped.
func (m *memory) give(i, used int) {
	if i < 0 { // it has none
		return
	}
	if used > keepSize {
		// It costs memory if this fails, and nothing else.
		_ = unix.Fallocate(m.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(i)*cellSize+keepSize, cellSize-keepSize)
	}
	m.free <- i
}

func (m *memory) cell(i int) []byte { return m.all[i*cellSize:][:cellSize] }

func pageOf(cell []byte) *page { return (*page)(unsafe.Pointer(&cell[0])) }
