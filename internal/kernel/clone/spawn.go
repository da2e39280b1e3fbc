package clone

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

//go:linkname runtime_BeforeFork syscall.runtime_BeforeFork
func runtime_BeforeFork()

//go:linkname runtime_AfterFork syscall.runtime_AfterFork
func runtime_AfterFork()

//go:linkname runtime_AfterForkInChild syscall.runtime_AfterForkInChild
func runtime_AfterForkInChild()

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// The descriptors of the spawner: the engine's standard ones, its socket, the memory file, and from fdGiven on those
// that came with a request (the child's end of the sync socket, a control group), which are closed after each. A child has
// its inputs behind its end of the sync socket.
const (
	fdSocket = 3 + iota
	fdMemory
	fdGiven
)

// request is what the warden asks for, beside descriptors: the spawner for a child, and the child for what it is to do.
type request struct {
	flags  uint64 // for clone3, beside CLONE_PARENT
	cgroup uint64 // number of the descriptor, with CLONE_INTO_CGROUP

	offset  uint64 // of the child's cell in the memory file
	length  uint64 // of what is used of it
	machine uint64 // where it lies in the cell
}

// controlSize is room for more than maxInputs descriptors, the sync socket and a control group.
const (
	controlSize = 1 << 10
	maxInputs   = 240
)

// maxIdle bounds what the spawner gives up.
const maxIdle = 128

// memoryRange is one mapping; end is behind it.
type memoryRange struct{ at, end uintptr }

// spawnerState is the memory that the spawner works with, and beside its stack the only one: it lies in a mapping of its
// own. It is complete before the fork.
type spawnerState struct {
	socket, memory uintptr // as the warden numbers them
	name           [16]byte
	everySignal    uint64
	byDefault      [4]uint64 // struct sigaction: SIG_DFL, flags, restorer, mask
	window, born   unsafe.Pointer
	asked          request
	message        unix.Msghdr
	iov            unix.Iovec
	control        [controlSize]byte
	args           cloneArgs
	answer         int64   // a pid, or the negative errno
	page           uintptr // the machine's size of one
	idle           [maxIdle]memoryRange
}

// machine is what the executor works on. It lies in the cell, as the steps do.
type machine struct {
	steps uintptr // offset of count Step in the cell
	count uintptr
	slots [maxSlots]uintptr // that of noSlot stays 0
}

// failed is the exit status of a child whose list did not end in an execve.
const failed = 253

const (
	stepSize      = unsafe.Sizeof(Step{})
	toleranceSize = unsafe.Sizeof(Tolerance{})
)

// spawn forks the spawner. The parent gets its pid or the errno of clone3. The spawner serves requests until its
// socket ends; the children that it forks execute their lists. Neither returns.
//
// What the two may do is: raw system calls, arithmetic, loads and stores of memory that exists. No call of a function
// that could grow the stack or be instrumented, no bounds check (it would call panicIndex), no write barrier.
// executor_test.go disassembles this function in all build modes.
//
//go:norace
//go:nocheckptr
//go:noinline
func spawn(first *cloneArgs, s *spawnerState) (pid uintptr, errno syscall.Errno) {
	runtime_BeforeFork()
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(first)), unsafe.Sizeof(*first), 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		runtime_AfterFork()
		return pid, errno
	}
	runtime_AfterForkInChild()
	// What a terminal or a person sends to the engine's process group is not meant for the spawner. Its children begin
	// with every signal blocked, and none ignored because who started the engine ignored it (T15).
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, 2, uintptr(unsafe.Pointer(&s.everySignal)), 0, 8, 0, 0)
	for signal := uintptr(1); signal <= 64; signal++ {
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&s.byDefault)), 0, 8, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_SETSID, 0, 0, 0, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&s.name)), 0, 0, 0, 0)
	// The memory first goes out of the way of the socket. What fails here ends the spawner at its first receive or map.
	memory, _, _ := syscall.RawSyscall6(unix.SYS_FCNTL, s.memory, unix.F_DUPFD_CLOEXEC, fdGiven, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_DUP3, s.socket, fdSocket, unix.O_CLOEXEC, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_DUP3, memory, fdMemory, unix.O_CLOEXEC, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdGiven, ^uintptr(0)>>32, 0, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_MADVISE, uintptr(s.born), 1, unix.MADV_DONTFORK, 0, 0, 0) // a child does not have it
	// What follows needs the page of this frame and its neighbours. An empty range is refused by the kernel.
	here := byte(0)
	frame := uintptr(unsafe.Pointer(&here)) &^ (s.page - 1)
	for i := uintptr(0); i < maxIdle; i++ {
		r := (*memoryRange)(unsafe.Add(unsafe.Pointer(&s.idle), i*unsafe.Sizeof(memoryRange{})))
		at, end := r.at, r.end
		if at <= frame && frame < end {
			syscall.RawSyscall6(unix.SYS_MUNMAP, at, frame-s.page-at, 0, 0, 0, 0)
			at = frame + 2*s.page
		}
		syscall.RawSyscall6(unix.SYS_MUNMAP, at, end-at, 0, 0, 0, 0)
	}
	for {
		s.message.Controllen = controlSize
		n, _, e := syscall.RawSyscall6(unix.SYS_RECVMSG, fdSocket, uintptr(unsafe.Pointer(&s.message)), unix.MSG_CMSG_CLOEXEC, 0, 0, 0)
		if e == syscall.EINTR {
			continue
		}
		if e != 0 || n != unsafe.Sizeof(request{}) { // the warden is gone
			syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
		}
		s.args.flags, s.args.cgroup = unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|s.asked.flags, s.asked.cgroup
		child, _, e := syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&s.args)), unsafe.Sizeof(cloneArgs{}), 0, 0, 0, 0)
		if e == 0 && child == 0 {
			break
		}
		s.answer = int64(child)
		if e != 0 {
			s.answer = -int64(e)
		}
		syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdGiven, ^uintptr(0)>>32, 0, 0, 0, 0)
		syscall.RawSyscall6(unix.SYS_SENDTO, fdSocket, uintptr(unsafe.Pointer(&s.answer)), 8, unix.MSG_NOSIGNAL, 0, 0)
	}
	// The child waits for its list, and dies with the warden. Inputs come behind its end of the sync socket: the place of the
	// spawner's, which it gives up at once, is taken until then.
	syscall.RawSyscall6(unix.SYS_DUP3, fdMemory, fdSocket, unix.O_CLOEXEC, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdGiven+1, ^uintptr(0)>>32, 0, 0, 0, 0)
	n, e := uintptr(0), syscall.EINTR
	for e == syscall.EINTR {
		s.message.Controllen = controlSize
		n, _, e = syscall.RawSyscall6(unix.SYS_RECVMSG, fdGiven, uintptr(unsafe.Pointer(&s.message)), unix.MSG_CMSG_CLOEXEC, 0, 0, 0)
	}
	for e != 0 || n != unsafe.Sizeof(request{}) {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, failed, 0, 0, 0, 0, 0)
	}
	// Its cell comes into the window.
	_, _, e = syscall.RawSyscall6(unix.SYS_MMAP, uintptr(s.window), uintptr(s.asked.length),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED|unix.MAP_POPULATE, fdMemory, uintptr(s.asked.offset))
	for e != 0 {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, failed, 0, 0, 0, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdSocket, fdMemory, 0, 0, 0, 0) // what is the spawner's
	shared := (*page)(s.window)
	m := (*machine)(unsafe.Add(s.window, uintptr(s.asked.machine)))
	steps := unsafe.Add(s.window, m.steps)
	remembered := syscall.Errno(0)
	for i := uintptr(0); i < m.count; i++ {
		s := (*Step)(unsafe.Add(steps, i*stepSize))
		shared.step = uint32(i)
		// A slot is a byte and there are 256 of them: no bounds check.
		a0, a1 := s.Args[0]+m.slots[s.From[0]], s.Args[1]+m.slots[s.From[1]]
		a2, a3 := s.Args[2]+m.slots[s.From[2]], s.Args[3]+m.slots[s.From[3]]
		a4, a5 := s.Args[4]+m.slots[s.From[4]], s.Args[5]+m.slots[s.From[5]]
		r, e := uintptr(0), syscall.EINTR
		if s.Kind == Fail {
			e = remembered
			if e == 0 {
				e = syscall.Errno(s.Args[0])
			}
		}
		if s.Kind == Set {
			r, e = a0, 0
		}
		for e == syscall.EINTR {
			r, _, e = syscall.RawSyscall6(s.Nr, a0, a1, a2, a3, a4, a5)
		}
		// Some seconds: a parent that has died takes nothing any more.
		for turn := 0; e == 0 && s.Kind == Offer && r != 0 && shared.taken == 0 && turn < 1<<34; turn++ {
			shared.offered = uint32(r) // stored each time, so that no compiler takes the other word for a constant
		}
		if e == 0 && (s.Kind == Gate && r == 0 || s.Kind == Offer && r != 0 && shared.taken == 0) {
			e = syscall.EPIPE
		}
		if e != 0 {
			t := uintptr(0)
			for t < maxTolerated && (*Tolerance)(unsafe.Add(unsafe.Pointer(&s.On), t*toleranceSize)).Errno != e {
				t++
			}
			if t == maxTolerated {
				shared.errno = uint32(e)
				break
			}
			allowed := (*Tolerance)(unsafe.Add(unsafe.Pointer(&s.On), t*toleranceSize))
			if allowed.Remember {
				remembered = e
			}
			i += uintptr(allowed.Skip)
			continue
		}
		if s.Kind == Fork && r != 0 {
			for {
				syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
			}
		}
		if s.Out != 0 {
			m.slots[s.Out] = r
		}
		i += uintptr(s.Skip)
	}
	for { // a list that ends without an execve ends the process: with 0 if every step was done
		status := uintptr(0)
		if shared.errno != 0 {
			status = failed
		}
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0)
	}
}
