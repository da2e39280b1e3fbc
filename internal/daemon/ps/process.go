package ps

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/brig-engine/brig/internal/wire"
)

// process is what the texts about one process say.
type process struct {
	pid, ppid, pgid, sid, tty, tpgid int64
	comm, state, cmdline             string
	ticks                            uint64 // processor time
	priority, nice, threads          int64
	start                            uint64 // ticks since the machine was started
	vsize, rss                       uint64 // bytes, pages
	uid, gid                         [2]uint64
}

// parse reads the texts of one process. The name, in parentheses, may itself hold parentheses, spaces and newlines: it
// ends at the last one.
func parse(t *wire.ProcTexts) (p process, ok bool) {
	head, rest, _ := cutLast(t.Stat, ") ")
	pid, comm, _ := strings.Cut(head, " (")
	f := strings.Fields(rest)
	if len(f) < 22 {
		return p, false
	}
	signed := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n }
	unsigned := func(i int) uint64 { n, _ := strconv.ParseUint(f[i], 10, 64); return n }
	p = process{comm: comm, state: f[0], cmdline: t.Cmdline, ppid: signed(1), pgid: signed(2), sid: signed(3), tty: signed(4), tpgid: signed(5),
		ticks: unsigned(11) + unsigned(12), priority: signed(15), nice: signed(16), threads: signed(17), start: unsigned(19),
		vsize: unsigned(20), rss: unsigned(21)}
	var err error
	p.pid, err = strconv.ParseInt(pid, 10, 64)
	p.uid, p.gid = ids(t.Status, "Uid:"), ids(t.Status, "Gid:")
	return p, err == nil && p.pid > 0
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// ids reads the real and the effective one. The kernel escapes newlines in the name that comes before them.
func ids(status, key string) (both [2]uint64) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, key)
		if f := strings.Fields(rest); ok && len(f) >= 2 {
			both[0], _ = strconv.ParseUint(f[0], 10, 32)
			both[1], _ = strconv.ParseUint(f[1], 10, 32)
			return both
		}
	}
	return both
}

// maxCell bounds one cell in characters.
const maxCell = 4096

// clean has a stranger's text fit into one cell of a terminal, in the way of ps.
func clean(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; n > maxCell {
			return -1
		}
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// command is the command line, or the name in brackets where there is none.
func (p *process) command() string {
	if line := strings.TrimRight(p.cmdline, "\x00"); line != "" && p.state != "Z" {
		return clean(strings.ReplaceAll(line, "\x00", " "))
	}
	return "[" + clean(p.comm) + "]" + p.defunct()
}

func (p *process) name() string { return clean(p.comm) + p.defunct() }

func (p *process) defunct() string {
	if p.state == "Z" {
		return " <defunct>"
	}
	return ""
}

// stat is the state with ps's letters for what else there is to say.
func (p *process) stat() string {
	s := clean(p.state)
	for _, x := range []struct {
		is     bool
		letter string
	}{
		{p.nice < 0, "<"}, {p.nice > 0, "N"}, {p.sid == p.pid, "s"}, {p.threads > 1, "l"},
		{p.tty != 0 && p.tpgid == p.pgid, "+"},
	} {
		if x.is {
			s += x.letter
		}
	}
	return s
}

// terminal is a name below the container's own /dev.
func (p *process) terminal() string {
	major, minor := p.tty>>8&0xfff, p.tty&0xff|p.tty>>12&0xfff00
	if major >= 136 && major <= 143 {
		return "pts/" + strconv.FormatInt((major-136)<<8+minor, 10)
	}
	return "?"
}
