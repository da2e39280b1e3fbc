package clone

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// The descriptors that a child begins with lie in this range of its parent's table. A child shares the parent's table
// at first (CLONE_FILES: a fork that copies 19,000 descriptors takes 0.8 ms) and then takes a private copy of the part
// up to highest alone, so that the cost of a birth does not grow with the number of running containers.
const (
	lowest  = 3
	highest = 127
)

// use says who has an entry of the range.
type use uint8

const (
	foreign use = iota // somebody opened it before the range was reserved
	free               // a copy of table.idle
	lent               // a child that is being born
)

// table keeps the range occupied, so that no other part of the process gets a descriptor there, and lends runs of it.
type table struct {
	mu      sync.Mutex
	changed *sync.Cond
	idle    int // a descriptor without any use
	entries [highest + 1]use
	lent    int
}

var descriptors table

// Reserve occupies the range for children. A process that will have many descriptors calls it first; otherwise the
// first Start does it with what is still free. It fails when fewer than 24 in a row are.
func Reserve() error {
	descriptors.mu.Lock()
	defer descriptors.mu.Unlock()
	return descriptors.reserve()
}

func (t *table) reserve() error {
	if t.changed != nil {
		return nil
	}
	idle, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("reserve descriptors for children: %w", err)
	}
	run, longest := 0, 0
	for fd := lowest; fd <= highest; fd++ {
		// F_DUPFD takes the lowest free number from fd on: another one than fd means that fd is in use.
		got, err := unix.FcntlInt(uintptr(idle), unix.F_DUPFD_CLOEXEC, fd)
		if err != nil {
			return fmt.Errorf("reserve descriptor %d for children: %w", fd, err)
		}
		if got != fd {
			unix.Close(got)
			run = 0
			continue
		}
		t.entries[fd] = free
		run++
		longest = max(longest, run)
	}
	if longest < 24 {
		return fmt.Errorf("reserve descriptors for children: only %d in a row between %d and %d are free",
			longest, lowest, highest)
	}
	t.idle, t.changed = idle, sync.NewCond(&t.mu)
	return nil
}

// place puts copies of fds next to each other into the range and returns the first number. It waits while other
// children that are being born hold too much of it.
func (t *table) place(fds []int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.reserve(); err != nil {
		return 0, err
	}
	first := t.find(len(fds))
	for ; first < 0 && t.lent > 0; first = t.find(len(fds)) {
		t.changed.Wait()
	}
	if first < 0 {
		return 0, fmt.Errorf("place %d descriptors for a child: %w", len(fds), unix.EMFILE)
	}
	t.lent += len(fds)
	for i := range fds {
		t.entries[first+i] = lent
	}
	for i, fd := range fds {
		if err := unix.Dup3(fd, first+i, unix.O_CLOEXEC); err != nil {
			t.vacate(first, len(fds))
			return 0, fmt.Errorf("place descriptor %d for a child: %w", fd, err)
		}
	}
	return first, nil
}

// find returns the start of a run of n free entries, or -1.
func (t *table) find(n int) int {
	run := 0
	for fd := lowest; fd <= highest; fd++ {
		if run++; t.entries[fd] != free {
			run = 0
		}
		if run == n {
			return fd - n + 1
		}
	}
	return -1
}

// giveBack ends the loan of n entries: the child has its own table, or is dead.
func (t *table) giveBack(first, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.vacate(first, n)
}

func (t *table) vacate(first, n int) {
	for fd := first; fd < first+n; fd++ {
		// This cannot fail: idle is open and fd is an open descriptor below the limit.
		_ = unix.Dup3(t.idle, fd, unix.O_CLOEXEC)
		t.entries[fd] = free
	}
	t.lent -= n
	t.changed.Broadcast()
}
