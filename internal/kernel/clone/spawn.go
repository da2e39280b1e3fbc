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

// page is what parent and child share.
type page struct {
	step  uint32 // index of the step that was begun last
	errno uint32 // why that step ended the list; 0: it did not
	pid   uint32 // of stage 1; clone3 writes it, so that it is known whatever happens to stage 0
	pidfd int32  // of stage 0, in the parent's table; clone3 writes it
}

// machine is what the executor works on. All of it is reachable from a live Program or from Start's frame.
type machine struct {
	steps unsafe.Pointer // of count Step
	count uintptr
	page  unsafe.Pointer // of page
	slots [maxSlots]uintptr
}

// failed is the exit status of a child whose list did not end in an execve.
const failed = 253

const (
	stepSize      = unsafe.Sizeof(Step{})
	toleranceSize = unsafe.Sizeof(Tolerance{})
	wordSize      = unsafe.Sizeof(uintptr(0))
)

// spawn forks. The parent gets the pid of the child or the errno of clone3. The child executes the list and does not
// return.
//
// What the child may do is: raw system calls, arithmetic, loads and stores of memory that exists. No call of a
// function that could grow the stack or be instrumented, no bounds check (it would call panicIndex), no write barrier.
// executor_test.go disassembles this function in all build modes.
//
//go:norace
//go:nocheckptr
//go:noinline
func spawn(args *cloneArgs, m *machine) (pid uintptr, errno syscall.Errno) {
	runtime_BeforeFork()
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		runtime_AfterFork()
		return pid, errno
	}
	runtime_AfterForkInChild()
	shared := (*page)(m.page)
	remembered := syscall.Errno(0)
	for i := uintptr(0); i < m.count; i++ {
		s := (*Step)(unsafe.Add(m.steps, i*stepSize))
		shared.step = uint32(i)
		a0, a1, a2, a3, a4, a5 := s.Args[0], s.Args[1], s.Args[2], s.Args[3], s.Args[4], s.Args[5]
		if s.From[0] != 0 {
			a0 = *(*uintptr)(unsafe.Add(unsafe.Pointer(&m.slots), uintptr(s.From[0])*wordSize))
		}
		if s.From[1] != 0 {
			a1 = *(*uintptr)(unsafe.Add(unsafe.Pointer(&m.slots), uintptr(s.From[1])*wordSize))
		}
		if s.From[2] != 0 {
			a2 = *(*uintptr)(unsafe.Add(unsafe.Pointer(&m.slots), uintptr(s.From[2])*wordSize))
		}
		if s.From[3] != 0 {
			a3 = *(*uintptr)(unsafe.Add(unsafe.Pointer(&m.slots), uintptr(s.From[3])*wordSize))
		}
		if s.From[4] != 0 {
			a4 = *(*uintptr)(unsafe.Add(unsafe.Pointer(&m.slots), uintptr(s.From[4])*wordSize))
		}
		if s.From[5] != 0 {
			a5 = *(*uintptr)(unsafe.Add(unsafe.Pointer(&m.slots), uintptr(s.From[5])*wordSize))
		}
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
		if e == 0 && s.Kind == Gate && r == 0 {
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
			*(*uintptr)(unsafe.Add(unsafe.Pointer(&m.slots), uintptr(s.Out)*wordSize)) = r
		}
		if s.Poke != nil {
			*s.Poke = uint32(r)
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
