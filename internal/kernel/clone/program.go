package clone

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Slot names a word that a step's result goes to and that arguments of later steps may come from. Slot 0 is none.
type Slot uint8

// The slots that every program has.
const (
	noSlot     Slot = iota
	Sync            // the child's end of the sync socket
	belowTable      // the last descriptor below the child's own ones
	aboveTable      // the first descriptor above them
	firstFree
)

const (
	maxSlots     = 256
	maxTolerated = 5
)

// chunkSize is how much memory strings and structures get at a time.
const chunkSize = 8 << 10

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
	// From[i], if set, is the slot whose value replaces Args[i].
	From [6]Slot
	// Out, if set, is the slot that the result goes to.
	Out  Slot
	Kind Kind
	// Skip is the number of steps that are jumped over after success.
	Skip uint16
	// Poke, if not nil, receives the low 32 bits of the result: a descriptor inside a structure in the arena.
	Poke *uint32
	On   [maxTolerated]Tolerance
}

// Program is a list of steps with all the memory that they point to. It may be started any number of times, but not
// twice at once.
type Program struct {
	steps  []Step
	inputs []Slot
	keep   []any
	chunk  []byte // what is left of the last of them
	slots  Slot
	stages int
	second *cloneArgs // of stage 1
}

// New returns a program that consists of the prologue that every child has: a private, small table of descriptors
// without any descriptor of the engine that is not meant for this child.
func New() *Program {
	p := &Program{slots: firstFree, stages: 1, steps: make([]Step, 0, 320)}
	const last = uintptr(^uint32(0))
	p.Add(Step{Nr: unix.SYS_CLOSE_RANGE, Args: [6]uintptr{highest + 1, last, unix.CLOSE_RANGE_UNSHARE}})
	empty := Tolerance{Errno: unix.EINVAL} // an empty range
	p.Add(Step{Nr: unix.SYS_CLOSE_RANGE, Args: [6]uintptr{lowest}, From: [6]Slot{1: belowTable},
		On: [maxTolerated]Tolerance{empty}})
	p.Add(Step{Nr: unix.SYS_CLOSE_RANGE, Args: [6]uintptr{0, highest}, From: [6]Slot{aboveTable},
		On: [maxTolerated]Tolerance{empty}})
	p.Notify()
	return p
}

// Prologue is the number of steps that New adds.
const Prologue = 4

// Add appends a step and returns its index.
func (p *Program) Add(s Step) int {
	if s.Kind == Fork { // the end of stage 0 tells what Notify would
		p.stages++
		p.steps[Prologue-2].Skip, p.steps[Prologue-2].On[0].Skip = 1, 1
	}
	p.steps = append(p.steps, s)
	return len(p.steps) - 1
}

// Notify appends a step that wakes a parent which is in Await. The prologue's own tells Start that the child has its
// own table of descriptors.
func (p *Program) Notify() int {
	b := p.Bytes([]byte{0})
	return p.Add(Step{Nr: unix.SYS_SENDTO, Args: [6]uintptr{0, b, 1, unix.MSG_NOSIGNAL}, From: [6]Slot{Sync}})
}

// Gate appends a step that waits for one call of Pass.
func (p *Program) Gate() int {
	b := p.Bytes([]byte{0})
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

// At is step i, for adjustments before Start.
func (p *Program) At(i int) *Step { return &p.steps[i] }

// Bytes keeps a copy of b for the program's life and returns its address. The heap does not move.
func (p *Program) Bytes(b []byte) uintptr {
	size := (max(len(b), 1) + 7) &^ 7 // structures of 64-bit words are aligned
	if size > len(p.chunk) {
		p.chunk = make([]byte, max(size, chunkSize))
		p.keep = append(p.keep, p.chunk)
	}
	c := p.chunk[:size:size]
	p.chunk = p.chunk[size:]
	copy(c, b)
	return uintptr(unsafe.Pointer(&c[0]))
}

// String keeps s with a final NUL and returns its address.
func (p *Program) String(s string) uintptr { return p.Bytes(append([]byte(s), 0)) }

// Words keeps a vector of words and returns its address.
func (p *Program) Words(w []uintptr) uintptr {
	b := make([]byte, 0, len(w)*int(wordSize))
	for _, v := range w {
		b = binary.NativeEndian.AppendUint64(b, uint64(v))
	}
	return p.Bytes(b)
}

// ForkArgs keeps the argument of a Fork step with CLONE_* flags, and returns its address; its size is ForkArgsSize.
// CLONE_PARENT is added: stage 1 is a child of the process that calls Start.
func (p *Program) ForkArgs(flags uint64) uintptr {
	p.second = &cloneArgs{flags: flags | unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID}
	p.keep = append(p.keep, p.second)
	return uintptr(unsafe.Pointer(p.second))
}

// ForkArgsSize is the second argument of clone3.
const ForkArgsSize = unsafe.Sizeof(cloneArgs{})

// Strings keeps a vector of C strings that ends with a nil pointer and returns its address.
func (p *Program) Strings(list []string) uintptr {
	w := make([]uintptr, 0, len(list)+1)
	for _, s := range list {
		w = append(w, p.String(s))
	}
	return p.Words(append(w, 0))
}

// SendFD appends open, whose result is a descriptor, and a step that sends that descriptor over socket.
func (p *Program) SendFD(socket Slot, open Step) {
	type message struct { // struct msghdr
		name       uintptr
		nameLen    uint32
		iov        *[2]uintptr
		iovLen     uintptr
		control    *cmsg
		controlLen uintptr
		flags      uint32
	}
	c := &cmsg{length: cmsgLen, level: unix.SOL_SOCKET, kind: unix.SCM_RIGHTS}
	m := &message{iov: &[2]uintptr{p.Bytes([]byte{0}), 1}, iovLen: 1, control: c, controlLen: unsafe.Sizeof(*c)}
	p.keep = append(p.keep, m)
	open.Poke = &c.fd
	p.Add(open)
	p.Add(Step{Nr: unix.SYS_SENDMSG, Args: [6]uintptr{0, uintptr(unsafe.Pointer(m)), unix.MSG_NOSIGNAL},
		From: [6]Slot{socket}})
}

// cmsg is a struct cmsghdr with one descriptor.
type cmsg struct {
	length      uintptr
	level, kind int32
	fd          uint32
}

// cmsgLen is CMSG_LEN(4): without the padding at the end.
const cmsgLen = unsafe.Offsetof(cmsg{}.fd) + 4
