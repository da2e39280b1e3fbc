package check

import (
	"fmt"
	"io"
	"runtime"
	"strings"
)

// Floor is the oldest kernel that the engine runs on.
const Floor = "6.1"

// State of one need.
type State string

// Missing stops the engine; Degraded is missing too, but something else takes its place or a layer is less; Unknown
// needs root.
const (
	OK       State = "ok"
	Missing  State = "missing"
	Degraded State = "degraded"
	Unknown  State = "unknown"
)

// Need is one thing that Brig wants of a machine.
type Need struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	For    string `json:"for"`
	Detail string `json:"detail,omitempty"` // why it is not there
	Fix    string `json:"fix,omitempty"`    // what to do; only where State is not OK
}

// Facts are what was found out about the machine.
type Facts struct {
	OS         string // runtime.GOOS
	Arch       string // runtime.GOARCH
	Kernel     string // release
	Root       bool
	Container  string // what we are inside of, "" for nothing
	Privileged bool   // CAP_SYS_ADMIN
	Needs      []Need
}

// Report is the answer. Able says whether the engine would start for this person now.
type Report struct {
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	Kernel    string `json:"kernel,omitempty"`
	Container string `json:"container,omitempty"`
	Able      bool   `json:"able"`
	Verdict   string `json:"verdict"`
	Needs     []Need `json:"needs,omitempty"`
}

// Doctor looks at this machine.
func Doctor() Report {
	f := gather()
	f.OS, f.Arch = runtime.GOOS, runtime.GOARCH
	return Judge(f)
}

// Judge turns facts into a verdict. The first thing that has to be changed is what the verdict names.
func Judge(f Facts) Report {
	r := Report{OS: f.OS, Arch: f.Arch, Kernel: f.Kernel, Container: f.Container, Needs: f.Needs}
	r.Verdict = obstacle(f)
	r.Able = r.Verdict == ""
	if r.Able {
		r.Verdict = "This machine can run Brig."
		if n := count(f.Needs, Degraded); n > 0 {
			r.Verdict = "This machine can run Brig; " + plural(n, "thing is", "things are") + " less than best."
		}
	}
	return r
}

func obstacle(f Facts) string {
	names := map[string]string{"darwin": "macOS", "windows": "Windows", "freebsd": "FreeBSD"}
	name := names[f.OS]
	switch {
	case f.OS != "linux" && name == "":
		name = f.OS
		fallthrough
	case f.OS != "linux":
		return "This is " + name + ": the engine runs on Linux. Use an engine on another machine: " +
			"export DOCKER_HOST=ssh://USER@HOST"
	case f.Arch != "amd64" && f.Arch != "arm64":
		return "Brig has no engine for " + f.Arch + ": it is built for amd64 and arm64."
	case older(f.Kernel, Floor):
		return "Kernel " + f.Kernel + " is older than " + Floor + ": the engine needs a newer one. " +
			"Debian 12, Ubuntu 24.04, Fedora and RHEL 10 have it."
	case f.Container != "" && f.Root && !f.Privileged:
		return "This is inside a container (" + f.Container + ") without CAP_SYS_ADMIN: the engine cannot make " +
			"namespaces and mounts. Run it on the host, or in a container that is privileged."
	}
	var lacks []string
	for _, n := range f.Needs {
		if n.State == Missing {
			lacks = append(lacks, n.Name)
		}
	}
	switch {
	case len(lacks) > 0:
		return "This machine cannot run Brig yet: " + strings.Join(lacks, ", ") + " missing. " +
			"Each line above says what to do."
	case !f.Root:
		return "Brig needs root to start the engine: sudo make run"
	case !f.Privileged:
		return "Brig needs CAP_SYS_ADMIN to start the engine, and it was taken from this root user."
	}
	return ""
}

// older compares releases by their first two numbers; what cannot be read is not older.
func older(release, floor string) bool {
	var a, b, x, y int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n != 2 {
		return false
	}
	fmt.Sscanf(floor, "%d.%d", &x, &y)
	return a < x || a == x && b < y
}

func count(needs []Need, s State) int {
	n := 0
	for _, need := range needs {
		if need.State == s {
			n++
		}
	}
	return n
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// mark is the sign, and the colour, of each state.
func mark(s State) (sign, colour string) {
	switch s {
	case OK:
		return "✓", "32"
	case Missing:
		return "✗", "31"
	case Degraded:
		return "!", "33"
	}
	return "?", "36"
}

// painter colours text, or leaves it.
type painter bool

func (p painter) paint(s, code string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Text writes the report for people: at most 25 lines. What is there and needs no words is one line together.
func (r Report) Text(w io.Writer, colour bool) error {
	p := painter(colour)
	var b strings.Builder
	b.WriteString(r.OS + "/" + r.Arch)
	if r.Kernel != "" {
		b.WriteString(", kernel " + r.Kernel)
	}
	if r.Container != "" {
		b.WriteString(", inside " + r.Container)
	}
	b.WriteString("\n")
	var there []string
	var lacking []Need
	for _, n := range r.Needs {
		if n.State == OK {
			there = append(there, n.Name)
		} else {
			lacking = append(lacking, n)
		}
	}
	sign := p.paint(mark(OK))
	for _, l := range wrap(strings.Join(there, ", "), 96) {
		b.WriteString(" " + sign + " " + l + "\n")
		sign = " "
	}
	p.lacking(&b, lacking)
	code := "31"
	if r.Able {
		code = "32"
	}
	b.WriteString(p.paint(r.Verdict, code) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// lacking writes two lines for each need, or one where two would not fit on the screen.
func (p painter) lacking(b *strings.Builder, needs []Need) {
	for _, n := range needs {
		sign, fix := p.paint(mark(n.State)), ""
		if n.Fix != "" {
			fix = " → " + n.Fix
		}
		if len(needs) > 9 {
			fmt.Fprintf(b, " %s %s: %s%s\n", sign, n.Name, state(n), fix)
			continue
		}
		if fix != "" {
			fix = "\n  " + fix
		}
		fmt.Fprintf(b, " %s %s: %s (%s)%s\n", sign, n.Name, state(n), n.For, fix)
	}
}

func state(n Need) string {
	if n.Detail == "" || n.State == Unknown {
		return string(n.State)
	}
	return n.Detail
}

// wrap breaks a list at spaces so that no line is longer than width.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
