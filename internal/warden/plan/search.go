package plan

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/wire"
)

// candidates are the names under which Args[0] may be, as the program sees them in a script's argument list: itself if it
// has a slash, otherwise one in each absolute directory of the last PATH in env.
func candidates(p *wire.Process) (found []string) {
	program := p.Args[0]
	if strings.Contains(program, "/") {
		return []string{program}
	}
	for _, e := range p.Env {
		dirs, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		found = nil
		for dir := range strings.SplitSeq(dirs, ":") {
			if strings.HasPrefix(dir, "/") { // a relative one would search the working directory
				found = append(found, strings.TrimSuffix(dir, "/")+"/"+program)
			}
		}
	}
	return found
}

// search finds the program as its user would: the first candidate that exists and may be executed. Magic links are
// refused, so that /proc/self/exe is not the engine (CVE-2019-5736).
func (b *builder) search(p *wire.Process) error {
	list := candidates(p)
	if len(list) > 24 {
		return fmt.Errorf("plan: PATH has %d directories: %w", len(list), unix.E2BIG)
	}
	what := "find program " + p.Args[0]
	if !strings.Contains(p.Args[0], "/") {
		what += " in PATH"
	}
	if len(list) == 0 { // no PATH, or none of its directories is absolute
		return &StepError{Op: &Op{What: what}, Sort: calls.NotFound, StepError: clone.StepError{Errno: unix.ENOENT}}
	}
	if b.init && len(list)*len(p.Args) > maxVectors {
		return fmt.Errorf("plan: %d arguments, and %d names of the program: %w", len(p.Args), len(list), unix.E2BIG)
	}
	// The program is opened inside the root, with its user's rights; what resolves into procfs is refused (CVE-2019-5736).
	found := b.label("found")
	for _, name := range list {
		below, next := name, b.label("next")
		if !strings.HasPrefix(name, "/") {
			below = p.Cwd + "/" + name
		}
		b.open(what, b.root, strings.TrimPrefix(below, "/"), unix.O_PATH, inRoot).To("program").
			Jump(next, unix.ENOENT, unix.ENOTDIR).Remember(next, unix.EACCES).Sort = calls.NotFound
		b.do(what, unix.SYS_FACCESSAT2, Ref("program"), "", unix.X_OK, unix.AT_EMPTY_PATH|unix.AT_EACCESS).
			Remember(next, unix.EACCES).Sort = calls.NotFound
		result, value := Ref("path"), any(name)
		if b.init {
			result, value = "arguments", slices.Concat([]string{"init", name}, p.Args)
		}
		b.do(what, 0, value).To(result).Next(found).Kind = clone.Set
		b.place(next)
	}
	// None of the names is a program: the error is the one a shell would give.
	end := b.do(what, 0, int(unix.ENOENT))
	end.Kind, end.Sort = clone.Fail, calls.NotFound
	b.place(found)
	return nil
}

// maxVectors bounds the pointers to arguments, of which init has a list for each candidate: 8 MiB.
const maxVectors = 1 << 20

// exec replaces the process. By descriptor where that gives it its name; a script needs the path in any case.
func (b *builder) exec(p *wire.Process, byFD bool) {
	execute := func(what string, nr uintptr, args ...any) *Op {
		op := b.do(what+p.Args[0], nr, args...)
		op.Kind, op.Sort = clone.Exec, calls.NotExecutable
		return op
	}
	if b.init {
		// Process 1 is the engine's init, from a sealed file in memory. It has all of the confinement; it executes the
		// program that was found and waits for every orphan.
		execute("execute init for ", unix.SYS_EXECVEAT, Ref("<init>"), "", Ref("arguments"), p.Env, unix.AT_EMPTY_PATH)
		return
	}
	if byFD {
		// What was found is what is executed: by descriptor. A script's interpreter cannot read a close-on-exec descriptor
		// (ENOENT), it gets the path.
		execute("execute ", unix.SYS_EXECVEAT, Ref("program"), "", p.Args, p.Env, unix.AT_EMPTY_PATH).Or(unix.ENOENT)
	}
	// The path that was found, inside the root.
	execute("execute ", unix.SYS_EXECVE, Ref("path"), p.Args, p.Env)
}
