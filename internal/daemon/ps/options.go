package ps

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Column is one column of the table.
type Column struct {
	title string
	value func(*process, *Host) string
}

// Options says which columns a line of options of ps asks for; "" is -ef. Which processes are shown is not asked: all of
// the container's. What is not known is refused by name.
func Options(line string) ([]Column, error) {
	words := strings.Fields(line)
	list := ""
	for i := 0; i < len(words); i++ {
		word, next := words[i], ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		columns, takesNext, err := option(word, next)
		if err != nil {
			return nil, err
		}
		if takesNext {
			i++
		}
		if columns != "" && list != "" {
			list += ","
		}
		list += columns
	}
	switch {
	case list == "" && line == "":
		list = full
	case list == "":
		list = short
	}
	return columns(list)
}

// The formats of ps -f, of ps u and of ps without either.
const (
	full  = "UID=user,pid,ppid,c,stime,tname,time,CMD=args"
	user  = "user,pid,%cpu,%mem,vsz,rss,tname,stat,START=stime,TIME=bsdtime,args"
	short = "pid,tname,time,CMD=comm"
)

// option reads one word, and the one behind it if it needs that.
func option(word, next string) (columns string, takesNext bool, err error) {
	letters, dashed := strings.CutPrefix(word, "-")
	if long, ok := strings.CutPrefix(word, "--"); ok {
		if value, ok := strings.CutPrefix(long, "format="); ok {
			return value, false, own(word, value)
		}
		if long == "format" {
			return next, true, own(word, next)
		}
		return "", false, refuse(word)
	}
	for i, c := range letters {
		switch {
		case c == 'o':
			value, takes := letters[i+1:], false
			if value == "" {
				value, takes = next, true
			}
			err := own(word, value)
			if columns != "" {
				value = columns + "," + value
			}
			return value, takes, err
		case c == 'e' && dashed, c == 'A' && dashed, c == 'd' && dashed, c == 'a', c == 'x', c == 'w': // all, of any width
		case c == 'f' && dashed:
			columns = full
		case c == 'u' && (!dashed || strings.ContainsAny(letters, "ax")): // -aux is what people type
			columns = user
		default:
			return "", false, refuse(word)
		}
	}
	return columns, false, nil
}

func refuse(word string) error {
	return fmt.Errorf("ps option %.64q: not supported by this version of Brig; -e, -f, aux and -o LIST are: %w", word, errdefs.ErrNotImplemented)
}

// own refuses a list of columns that has a title of its own: everything behind the = is one, commas too.
func own(word, list string) error {
	if list == "" {
		return fmt.Errorf("ps option %.64q needs a list of columns: %w", word, errdefs.ErrInvalidArgument)
	}
	if strings.Contains(list, "=") {
		return fmt.Errorf("ps option %.64q: titles of one's own are not supported by this version of Brig: %w", list, errdefs.ErrNotImplemented)
	}
	return nil
}

// maxColumns bounds the table that one request can ask for.
const maxColumns = 64

func columns(list string) (out []Column, err error) {
	names := strings.Split(list, ",")
	if len(names) > maxColumns {
		return nil, fmt.Errorf("ps: at most %d columns: %w", maxColumns, errdefs.ErrInvalidArgument)
	}
	all := known()
	for _, name := range names {
		title, key, renamed := strings.Cut(name, "=")
		if !renamed {
			key = name
		}
		c, ok := all[key]
		if !ok {
			return nil, fmt.Errorf("ps column %.64q: not supported by this version of Brig: %w", name, errdefs.ErrNotImplemented)
		}
		if renamed {
			c.title = title
		}
		out = append(out, c)
	}
	return out, nil
}

// known are the columns by the names that they have in ps.
func known() map[string]Column {
	m := map[string]Column{}
	add := func(names, title string, value func(*process, *Host) string) {
		for name := range strings.FieldsSeq(names) {
			m[name] = Column{title, value}
		}
	}
	signed := func(names, title string, value func(*process) int64) {
		add(names, title, func(p *process, _ *Host) string { return strconv.FormatInt(value(p), 10) })
	}
	number := func(names, title string, value func(*process, *Host) uint64) {
		add(names, title, func(p *process, h *Host) string { return strconv.FormatUint(value(p, h), 10) })
	}
	signed("pid tgid", "PID", func(p *process) int64 { return p.pid })
	signed("ppid", "PPID", func(p *process) int64 { return p.ppid })
	signed("pgid pgrp", "PGID", func(p *process) int64 { return p.pgid })
	signed("sid", "SID", func(p *process) int64 { return p.sid })
	signed("sess session", "SESS", func(p *process) int64 { return p.sid })
	signed("nlwp thcount", "NLWP", func(p *process) int64 { return p.threads })
	signed("ni nice", "NI", func(p *process) int64 { return p.nice })
	signed("pri", "PRI", func(p *process) int64 { return 39 - p.priority })
	number("uid", "UID", func(p *process, h *Host) uint64 { return h.inside(p.uid[1]) })
	number("euid", "EUID", func(p *process, h *Host) uint64 { return h.inside(p.uid[1]) })
	number("ruid", "RUID", func(p *process, h *Host) uint64 { return h.inside(p.uid[0]) })
	number("gid", "GID", func(p *process, h *Host) uint64 { return h.inside(p.gid[1]) })
	number("egid", "EGID", func(p *process, h *Host) uint64 { return h.inside(p.gid[1]) })
	number("rgid", "RGID", func(p *process, h *Host) uint64 { return h.inside(p.gid[0]) })
	number("vsz vsize", "VSZ", func(p *process, _ *Host) uint64 { return p.vsize / 1024 })
	number("rss rssize rsz", "RSS", func(p *process, _ *Host) uint64 { return p.rss * uint64(os.Getpagesize()) / 1024 })
	number("c", "C", func(p *process, h *Host) uint64 { return min(h.share(p, 100), 99) })
	number("etimes", "ELAPSED", func(p *process, h *Host) uint64 { return h.elapsed(p) })
	add("user uname", "USER", func(p *process, h *Host) string { return name(h.inside(p.uid[1]), h.User) })
	add("euser", "EUSER", func(p *process, h *Host) string { return name(h.inside(p.uid[1]), h.User) })
	add("ruser", "RUSER", func(p *process, h *Host) string { return name(h.inside(p.uid[0]), h.User) })
	add("group", "GROUP", func(p *process, h *Host) string { return name(h.inside(p.gid[1]), h.Group) })
	add("%cpu pcpu", "%CPU", func(p *process, h *Host) string { return tenths(h.share(p, 1000)) })
	add("%mem pmem", "%MEM", func(p *process, h *Host) string { return tenths(h.memory(p)) })
	add("tty tt", "TT", func(p *process, _ *Host) string { return p.terminal() })
	add("tname", "TTY", func(p *process, _ *Host) string { return p.terminal() })
	add("stat", "STAT", func(p *process, _ *Host) string { return p.stat() })
	add("s state", "S", func(p *process, _ *Host) string { return clean(p.state) })
	add("start", "STARTED", func(p *process, h *Host) string { return h.recent(p) })
	add("stime", "STIME", func(p *process, h *Host) string { return h.stime(p) })
	add("start_time bsdstart", "START", func(p *process, h *Host) string { return h.stime(p) })
	add("lstart", "STARTED", func(p *process, h *Host) string { return h.started(p).Format("Mon Jan _2 15:04:05 2006") })
	add("time cputime", "TIME", func(p *process, _ *Host) string { return clock(p.ticks/ticksPerSecond, true) })
	add("bsdtime", "TIME", func(p *process, _ *Host) string {
		s := p.ticks / ticksPerSecond
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	})
	add("etime", "ELAPSED", func(p *process, h *Host) string { return clock(h.elapsed(p), false) })
	add("args command", "COMMAND", func(p *process, _ *Host) string { return p.command() })
	add("cmd", "CMD", func(p *process, _ *Host) string { return p.command() })
	add("comm ucomm", "COMMAND", func(p *process, _ *Host) string { return p.name() })
	add("ucmd", "CMD", func(p *process, _ *Host) string { return p.name() })
	return m
}
