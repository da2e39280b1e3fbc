package clone

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Slot names a word that a step's result goes to and that arguments of later steps may come from. Slot 0 is none.
type Slot uint8

// The slots that every program has.
const (
	noSlot Slot = iota
	Sync        // the child's end of the sync socket
	firstFree
)

const (
	maxSlots     = 256
	maxTolerated = 5
)

// Kind says how the executor treats the result of a step.
type Kind uint8

const (
	// Call is an ordinary system call.
	Call Kind = iota
	// Fork is a clone3, with the argument of ForkArgs, whose child goes on with the list and whose parent exits with 0.
	Fork
	// Exec is an execve or execveat: where the list ends when all is well.
	Exec
	// Gate is a read from Sync; end of file (the parent has died) fails with EPIPE.
	Gate
	// Fail makes no system call: it fails with the last remembered errno, or with Args[0] if there is none.
	Fail
	// Set makes no system call: its result is Args[0].
	Set
	// Offer is a call whose result, if it is not 0, is a descriptor that the parent takes (Child.Take). The child shows it and
	// turns in place until then, without a system call that a filter could stop. A list has one such result at most.
	Offer
)

// Tolerance lets a list go on after an error.
type Tolerance struct {
	Errno syscall.Errno
	// Skip is the number of steps that are jumped over.
	Skip uint16
	// Remember makes Errno the one that a later Fail step reports.
	Remember bool
}

// Step is one system call.
type Step struct {
	Nr   uintptr
	Args [6]uintptr
	// From[i], if set, is the slot whose value is added to Args[i].
	From [6]Slot
	// Out, if set, is the slot that the result goes to.
	Out  Slot
	Kind Kind
	// Skip is the number of steps that are jumped over after success.
	Skip uint16
	On   [maxTolerated]Tolerance
}

// Do is an ordinary step.
func Do(nr uintptr, args ...uintptr) (s Step) {
	s.Nr = nr
	copy(s.Args[:], args)
	return s
}

// Program is a list of steps with all the memory that they point to: plain data, linked for the window that it has the
// same address in in every child. It may be started any number of times.
type Program struct {
	steps  []Step
	inputs []Slot
	data   []byte
	texts  map[string]uintptr // of vectors
	base   uintptr            // of the window; 0 if there is none, which Start says
	slots  Slot
	stages int
}

// New returns an empty program.
func New() *Program {
	p := &Program{slots: firstFree, stages: 1, steps: make([]Step, 0, 320), data: make([]byte, 0, 8<<10),
		texts: map[string]uintptr{}}
	if m, err := shared(); err == nil {
		p.base = m.base() + pageSize
	}
	return p
}

// Add appends a step and returns its index.
func (p *Program) Add(s Step) int {
	if s.Kind == Fork {
		p.stages++
	}
	p.steps = append(p.steps, s)
	return len(p.steps) - 1
}

// Gate appends steps that wake a parent which is in Await, and wait for one call of Pass. It returns the index of the
// second.
func (p *Program) Gate() int {
	b := p.Bytes([]byte{0})
	p.Add(Step{Nr: unix.SYS_SENDTO, Args: [6]uintptr{0, b, 1, unix.MSG_NOSIGNAL}, From: [6]Slot{Sync}})
	return p.Add(Step{Nr: unix.SYS_READ, Args: [6]uintptr{0, b, 1}, From: [6]Slot{Sync}, Kind: Gate})
}

// NewSlot returns an unused slot, or false if all are used.
func (p *Program) NewSlot() (Slot, bool) {
	if p.slots == maxSlots-1 {
		return noSlot, false
	}
	p.slots++
	return p.slots - 1, true
}

// Input declares that slot s holds a descriptor given to Start; the order of the calls is the order there.
func (p *Program) Input(s Slot) { p.inputs = append(p.inputs, s) }

// Len is the number of steps so far.
func (p *Program) Len() int { return len(p.steps) }

// Bytes keeps a copy of b for the program's life and returns its address in the child.
func (p *Program) Bytes(b []byte) uintptr {
	at := p.base + uintptr(len(p.data))
	p.data = append(p.data, b...)
	pad := 8 - len(p.data)%8 // structures of 64-bit words are aligned, and nothing is no memory of its own
	p.data = append(p.data, make([]byte, pad)...)
	return at
}

// String keeps s with a final NUL and returns its address.
func (p *Program) String(s string) uintptr { return p.Bytes(append([]byte(s), 0)) }

// Words keeps a vector of words and returns its address.
func (p *Program) Words(w []uintptr) uintptr {
	b := make([]byte, 0, 8*len(w))
	for _, v := range w {
		b = binary.NativeEndian.AppendUint64(b, uint64(v))
	}
	return p.Bytes(b)
}

// Strings keeps a vector of C strings that ends with a nil pointer and returns its address. Vectors share strings: init
// has the program's arguments in one for each place where the program may be.
func (p *Program) Strings(list []string) uintptr {
	w := make([]uintptr, 0, len(list)+1)
	for _, s := range list {
		address, ok := p.texts[s]
		if !ok {
			address = p.String(s)
			p.texts[s] = address
		}
		w = append(w, address)
	}
	return p.Words(append(w, 0))
}

// ForkArgs keeps the argument of a Fork step with CLONE_* flags, and returns its address; its size is ForkArgsSize.
// CLONE_PARENT is added: stage 1 is a child of the process that calls Start.
func (p *Program) ForkArgs(flags uint64) uintptr {
	args := cloneArgs{flags: flags | unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID,
		parentTID: uint64(p.base - pageSize + unsafe.Offsetof(page{}.pid))}
	return p.Bytes(bytesOf(&args))
}

// ForkArgsSize is the second argument of clone3.
const ForkArgsSize = unsafe.Sizeof(cloneArgs{})

// SendFD appends open, whose result is a descriptor, and steps that send it to a parent which is in Await.
func (p *Program) SendFD(open Step) {
	const sent = fdGiven + 1 + maxInputs // a number that nothing else has: memory can name it before it is there
	iov := p.Words([]uintptr{p.Bytes([]byte{0}), 1})
	control := unix.UnixRights(sent)
	message := p.Words([]uintptr{0, 0, iov, 1, p.Bytes(control), uintptr(len(control)), 0}) // struct msghdr
	open.Out, _ = p.NewSlot()
	p.Add(open)
	p.Add(Step{Nr: unix.SYS_DUP3, Args: [6]uintptr{0, sent, unix.O_CLOEXEC}, From: [6]Slot{open.Out}})
	p.Add(Step{Nr: unix.SYS_SENDMSG, Args: [6]uintptr{0, message, unix.MSG_NOSIGNAL}, From: [6]Slot{Sync}})
}

// bytesOf is the memory of a value without pointers.
func bytesOf[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// link writes the program into a cell and returns where its machine lies there, and how much it takes.
func (p *Program) link(cell []byte) (machineAt, used int, err error) {
	machineAt = pageSize + len(p.data)
	stepsAt := machineAt + int(unsafe.Sizeof(machine{}))
	used = stepsAt + len(p.steps)*int(stepSize)
	if p.base == 0 || used > cellSize {
		return 0, 0, fmt.Errorf("a program of %d bytes does not fit into %d: %w", used, cellSize, unix.E2BIG)
	}
	*pageOf(cell) = page{}
	copy(cell[pageSize:], p.data)
	m := machine{count: uintptr(len(p.steps)), steps: uintptr(stepsAt)}
	m.slots[Sync] = fdGiven
	for i, s := range p.inputs {
		m.slots[s] = uintptr(fdGiven + 1 + i)
	}
	copy(cell[machineAt:], bytesOf(&m))
	copy(cell[stepsAt:used], unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(p.steps))), used-stepsAt))
	return machineAt, used, nil
}

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

	offered, taken uint32 // the descriptor of an Offer; not 0 when the parent is done with it
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
	// Between what nobody may touch the state of the spawner is a mapping of its own.
	const stateSize = 16 << 10
	const _ = stateSize - unsafe.Sizeof(spawnerState{}) // it fits, or this does not compile
	all, err := unix.Mmap(-1, 0, cellSize+2*stateSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err == nil {
		err = unix.Mprotect(all[cellSize:][:stateSize], unix.PROT_READ|unix.PROT_WRITE)
	}
	if err != nil {
		return nil, fmt.Errorf("reserve the window of children: %w", err)
	}
	m.window, m.state = all[:cellSize], (*spawnerState)(unsafe.Pointer(&all[cellSize]))
	if m.fd, err = unix.MemfdCreate("programs", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL); err != nil {
		m.fd, err = unix.MemfdCreate("programs", unix.MFD_CLOEXEC) // before Linux 6.3
	}
	if err = cmp.Or(err, unix.Ftruncate(m.fd, cells*cellSize)); err != nil {
		return nil, fmt.Errorf("make the memory of children: %w", err)
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
