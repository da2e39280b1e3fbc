package filter

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
)

// x32Bit marks a call of the x32 ABI. Its numbers pass the architecture check of amd64, so a filter that forgets them
// is no filter.
const x32Bit = 0x40000000

const answerENOSYS = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)

// Compile validates f and turns it into a program:
//
//	foreign architecture?                 that of Compat: the same below, by Compat; any other: kill the process, since its
//	                                      numbers mean other calls and no verdict can be right
//	number → binary tree over ranges  →   a verdict, or
//	                                      a block that looks at arguments, then a verdict
//
// Numbers with the x32 bit fail with ENOSYS, as on kernels that are built without x32. It is an error if the program
// would be longer than the kernel accepts.
func Compile(f *Filter) ([]unix.SockFilter, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	b := &builder{rev: make([]unix.SockFilter, 0, 128)}
	p := b.follow(opLoad, kernel.OffNumber, b.search(numbers(f, b)))
	if c := f.Compat; c != nil {
		second := b.follow(opLoad, kernel.OffNumber, b.search(numbers(c, b)))
		foreign := b.branch(opJEQ, archToken(c.Arch), second, b.ret(unix.SECCOMP_RET_KILL_PROCESS))
		p = b.branch(opJEQ, archToken(f.Arch), p, foreign)
	} else {
		p = b.branch(opJEQ, archToken(f.Arch), p, b.ret(unix.SECCOMP_RET_KILL_PROCESS))
	}
	b.follow(opLoad, kernel.OffArch, p)
	if n := len(b.rev); n > kernel.MaxInsns {
		return nil, fmt.Errorf("filter: %d instructions, the kernel takes at most %d", n, kernel.MaxInsns)
	}
	return b.program(), nil
}

// Encode gives a program's bytes as the kernel reads them, eight for each instruction. Both architectures are
// little-endian.
func Encode(prog []unix.SockFilter) []byte {
	b := make([]byte, 0, 8*len(prog))
	for _, in := range prog {
		b = append(binary.LittleEndian.AppendUint16(b, in.Code), in.Jt, in.Jf)
		b = binary.LittleEndian.AppendUint32(b, in.K)
	}
	return b
}

func archToken(a Arch) uint32 {
	switch a {
	case ARM64:
		return kernel.ArchARM64
	case I386:
		return kernel.ArchI386
	}
	return kernel.ArchAMD64
}

// verdicts are what the kernel is told. What would not be among them kills: 0 is SECCOMP_RET_KILL_THREAD.
var verdicts = map[Action]uint32{
	Allow: unix.SECCOMP_RET_ALLOW, Log: unix.SECCOMP_RET_LOG, Trace: unix.SECCOMP_RET_TRACE, Errno: unix.SECCOMP_RET_ERRNO,
	Notify: unix.SECCOMP_RET_USER_NOTIF, Trap: unix.SECCOMP_RET_TRAP, KillThread: unix.SECCOMP_RET_KILL_THREAD,
	KillProcess: unix.SECCOMP_RET_KILL_PROCESS,
}

func verdict(a Action, errno uint16) uint32 { return verdicts[a] | uint32(errno) }

// decision is what happens to one call: the first rule whose arguments match (they are sorted by severity), else rest.
type decision struct {
	rules []*Rule
	rest  uint32
}

func (d *decision) equal(o *decision) bool { return d.rest == o.rest && slices.Equal(d.rules, o.rules) }

// numbers gives the ranges of call numbers with equal decisions. Each argument block is written once, when the tree
// first needs it.
func numbers(f *Filter, b *builder) []step {
	table := decisions(f)
	var steps []step
	var last *decision
	for nr := range table {
		d := &table[nr]
		if last == nil || !last.equal(d) {
			steps = append(steps, step{uint32(nr), b.once(d)})
			last = d
		}
	}
	return append(steps, step{x32Bit, func() at { return b.ret(answerENOSYS) }})
}

// once gives a function that writes the block of d at its first use.
func (b *builder) once(d *decision) func() at {
	if len(d.rules) == 0 {
		return func() at { return b.ret(d.rest) }
	}
	place := at(-1)
	return func() at {
		if place < 0 {
			place = b.arguments(d)
		}
		return place
	}
}

// decisions is indexed by call number; its last entry stands for all higher numbers below the x32 bit.
func decisions(f *Filter) []decision {
	end := f.Newest
	for i := range f.Rules {
		end = max(end, slices.Max(f.Rules[i].Calls))
	}
	table := make([]decision, end+2)
	whole := make([]*Rule, end+2) // the rule without conditions that wins
	for i := range f.Rules {
		r := &f.Rules[i]
		for _, nr := range r.Calls {
			switch w := whole[nr]; {
			case w != nil && w.Action.Severity() >= r.Action.Severity():
				// Another rule always matches, and wins: it is more severe, or as severe and came first.
			case len(r.Args) == 0:
				whole[nr] = r
			default:
				table[nr].rules = append(table[nr].rules, r)
			}
		}
	}
	for nr := range table {
		d := &table[nr]
		d.rest = verdict(f.Default, f.Errno)
		if f.Newest != 0 && uint32(nr) > f.Newest && len(d.rules) == 0 {
			d.rest = answerENOSYS
		}
		if w := whole[nr]; w != nil {
			d.rest = verdict(w.Action, w.Errno)
		}
		d.rank(whole[nr])
	}
	return table
}

// rank sorts by severity, first come first among equals, and drops what the rule that always matches outranks.
func (d *decision) rank(whole *Rule) {
	if whole != nil {
		d.rules = slices.DeleteFunc(d.rules, func(r *Rule) bool {
			return r.Action.Severity() < whole.Action.Severity()
		})
	}
	slices.SortStableFunc(d.rules, func(x, y *Rule) int { return y.Action.Severity() - x.Action.Severity() })
}
