package plan

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/clone"
	"github.com/brig-engine/brig/internal/wire"
)

// candidate is one name under which the program may be.
type candidate struct {
	look string // below the root
	exec string // as the program sees it in a script's argument list
}

// candidates of Args[0]: itself if it has a slash, otherwise one in each absolute directory of the last PATH in env.
func candidates(p *wire.Process) []candidate {
	program := p.Args[0]
	if strings.HasPrefix(program, "/") {
		return []candidate{{program[1:], program}}
	}
	if strings.Contains(program, "/") {
		return []candidate{{strings.TrimPrefix(p.Cwd+"/"+program, "/"), program}}
	}
	var found []candidate
	for _, e := range p.Env {
		dirs, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		found = nil
		for dir := range strings.SplitSeq(dirs, ":") {
			if strings.HasPrefix(dir, "/") { // a relative one would search the working directory
				name := strings.TrimSuffix(dir, "/") + "/" + program
				found = append(found, candidate{name[1:], name})
			}
		}
	}
	return found
}

// search finds the program as its user would: the first candidate that exists and may be executed. Magic links are
// refused, so that /proc/self/exe is not the engine (CVE-2019-5736).
func (b *builder) search(p *wire.Process) error {
	const why = "The program is opened inside the root, with its user's rights; what resolves into procfs is refused " +
		"(CVE-2019-5736)."
	list := candidates(p)
	if len(list) > 24 {
		return fmt.Errorf("plan: PATH has %d directories: %w", len(list), unix.E2BIG)
	}
	what := "find program " + p.Args[0]
	if !strings.Contains(p.Args[0], "/") {
		what += " in PATH"
	}
	if len(list) == 0 { // no PATH, or none of its directories is absolute
		return &StepError{Op: &Op{What: what}, Sort: NotFound, Errno: unix.ENOENT}
	}
	var args func(path string) Arg
	if b.init {
		if len(list)*len(p.Args) > maxVectors {
			return fmt.Errorf("plan: %d arguments, and %d names of the program: %w", len(p.Args), len(list), unix.E2BIG)
		}
		args = initArgs(p.Args)
	}
	found := b.label("found")
	for _, c := range list {
		next := b.label("next")
		b.do(what, why, "openat2", res(b.root), str(c.look), how(unix.O_PATH, 0, inRoot), num(sizeofHow)).to("program").
			jump(next, unix.ENOENT, unix.ENOTDIR).remember(next, unix.EACCES).sort = NotFound
		b.do(what, why, "faccessat2", res("program"), str(""), flags("X_OK", unix.X_OK),
			flags("AT_EMPTY_PATH|AT_EACCESS", unix.AT_EMPTY_PATH|unix.AT_EACCESS)).remember(next, unix.EACCES).sort = NotFound
		name, value := "path", str(c.exec)
		if b.init {
			name, value = "arguments", args(c.exec)
		}
		let := b.do(what, why, "let", value).to(name).then(found)
		let.kind = clone.Set
		b.place(next)
	}
	end := b.do(what, "None of the names is a program: the error is the one a shell would give.", "fail",
		flags("ENOENT", uintptr(unix.ENOENT)))
	end.kind, end.sort = clone.Fail, NotFound
	b.place(found)
	return nil
}

// maxVectors bounds the pointers to arguments, of which init has a list for each candidate: 8 MiB.
const maxVectors = 1 << 20

// initArgs makes the arguments of init for a program that was found at a path. All lists share the program's own.
func initArgs(program []string) func(path string) Arg {
	var shared []uintptr
	var of *clone.Program
	return func(path string) Arg {
		own := []string{"init", path}
		return Arg{show: func() string { return fmt.Sprintf("%q", append(own, program...)) },
			memory: func(p *clone.Program) uintptr {
				if of != p {
					of, shared = p, nil
					for _, a := range program {
						shared = append(shared, p.String(a))
					}
				}
				return p.Words(slices.Concat([]uintptr{p.String(own[0]), p.String(own[1])}, shared, []uintptr{0}))
			}}
	}
}

// exec replaces the process. By descriptor where that gives it its name; a script needs the path in any case.
func (b *builder) exec(p *wire.Process, byFD bool) {
	what := "execute " + p.Args[0]
	if b.init {
		op := b.do("execute init for "+p.Args[0], "Process 1 is the engine's init, from a sealed file in memory. It has all "+
			"of the confinement; it executes the program that was found and waits for every orphan.", "execveat",
			res("<init>"), str(""), res("arguments"), list(p.Env), flags("AT_EMPTY_PATH", unix.AT_EMPTY_PATH))
		op.kind, op.sort = clone.Exec, NotExecutable
		return
	}
	if byFD {
		op := b.do(what, "What was found is what is executed: by descriptor. A script's interpreter cannot read a "+
			"close-on-exec descriptor (ENOENT), it gets the path.", "execveat", res("program"), str(""), list(p.Args),
			list(p.Env), flags("AT_EMPTY_PATH", unix.AT_EMPTY_PATH)).or(unix.ENOENT)
		op.kind, op.sort = clone.Exec, NotExecutable
	}
	op := b.do(what, "The path that was found, inside the root.", "execve", res("path"), list(p.Args), list(p.Env))
	op.kind, op.sort = clone.Exec, NotExecutable
}

// remember tolerates errors like jump and makes them what a later fail reports.
func (o *Op) remember(label string, errnos ...unix.Errno) *Op {
	for _, e := range errnos {
		o.On = append(o.On, On{Errno: e, To: label, Remember: true})
	}
	return o
}
