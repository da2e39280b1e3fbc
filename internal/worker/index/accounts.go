package index

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker/index/erofs"
)

// The limits of /etc/passwd and /etc/group. What is beyond is ignored, and the result says so.
const (
	maxAccountBytes = 1 << 20
	maxAccountLines = 10_000
	maxLinks        = 40
	maxAccountName  = 256
	maxMembers      = 1024
)

// accounts reads the image's users and groups. A file that is missing is no error, and one that cannot be read only
// means that names cannot be used.
func (t *tree) accounts(r *jobs.MergeResult, open func(string) (*os.File, error)) error {
	passwd, cut1, err := t.content("etc/passwd", open)
	if err != nil {
		return err
	}
	group, cut2, err := t.content("etc/group", open)
	if err != nil {
		return err
	}
	var cut3, cut4 bool
	r.Users, cut3 = parsePasswd(passwd)
	r.Groups, cut4 = parseGroup(group)
	if cut1 || cut2 || cut3 || cut4 {
		r.Accounts = fmt.Sprintf("/etc/passwd or /etc/group is larger than %d bytes or %d lines: the rest is ignored",
			maxAccountBytes, maxAccountLines)
	}
	return nil
}

// resolve follows symbolic links inside the tree, as text; nil if name leads nowhere.
func (t *tree) resolve(name string) *node {
	rest := strings.Split(name, "/")
	n := t.root
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if n.parent != nil {
				n = n.parent
			}
			continue
		}
		kid := n.kids[part]
		if kid == nil {
			return nil
		}
		if kid.inode.mode&erofs.ModeType != erofs.ModeSymlink {
			n = kid
			continue
		}
		if links++; links > maxLinks {
			return nil
		}
		if strings.HasPrefix(kid.inode.link, "/") {
			n = t.root
		}
		rest = append(strings.Split(kid.inode.link, "/"), rest...)
	}
	return n
}

// content reads the first maxAccountBytes of a regular file; cut says that there was more.
func (t *tree) content(name string, open func(string) (*os.File, error)) (text string, cut bool, err error) {
	n := t.resolve(name)
	if n == nil || n.inode.mode&erofs.ModeType != erofs.ModeRegular || n.inode.size == 0 {
		return "", false, nil
	}
	size := min(n.inode.size, maxAccountBytes)
	b := make([]byte, size)
	if n.inode.device > 0 {
		f, err := open(fmt.Sprintf("data/%d", n.inode.device-1))
		if err != nil {
			return "", false, err
		}
		defer f.Close()
		for _, x := range n.inode.extents {
			if x.Logical >= size {
				break
			}
			part := b[x.Logical:min(x.Logical+x.Length, size)]
			if _, err := f.ReadAt(part, x.Data); err != nil && !errors.Is(err, io.EOF) {
				return "", false, fmt.Errorf("read /%s: %w", name, err)
			}
		}
	}
	if n.inode.size > size { // the last line may be half a line
		return string(b[:strings.LastIndexByte(string(b), '\n')+1]), true, nil
	}
	return string(b), false, nil
}

// lines calls f with the fields of each line that has at least min of them.
func lines(text string, min int, f func(fields []string)) (cut bool) {
	count := 0
	for line := range strings.Lines(text) {
		if count++; count > maxAccountLines {
			return true
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) >= min {
			f(fields)
		}
	}
	return false
}

// parsePasswd reads passwd(5). Lines that are not well-formed do not count, and the first line of a name wins, as in
// libc.
func parsePasswd(text string) (users []jobs.ImageUser, cut bool) {
	seen := map[string]bool{}
	cut = lines(text, 6, func(f []string) {
		uid, ok1 := id(f[2])
		gid, ok2 := id(f[3])
		if !isName(f[0]) || !ok1 || !ok2 || seen[f[0]] {
			return
		}
		seen[f[0]] = true
		u := jobs.ImageUser{Name: f[0], UID: uid, GID: gid}
		if home := f[5]; strings.HasPrefix(home, "/") && len(home) <= 1024 && isText(home) {
			u.Home = home
		}
		users = append(users, u)
	})
	return users, cut
}

// parseGroup reads group(5).
func parseGroup(text string) (groups []jobs.ImageGroup, cut bool) {
	seen := map[string]bool{}
	cut = lines(text, 3, func(f []string) {
		gid, ok := id(f[2])
		if !isName(f[0]) || !ok || seen[f[0]] {
			return
		}
		seen[f[0]] = true
		g := jobs.ImageGroup{Name: f[0], GID: gid}
		if len(f) > 3 {
			for m := range strings.SplitSeq(f[3], ",") {
				if m = strings.TrimSpace(m); isName(m) && len(g.Members) < maxMembers {
					g.Members = append(g.Members, m)
				}
			}
		}
		groups = append(groups, g)
	})
	return groups, cut
}

// id reads a decimal id. The all-ones id means "unchanged" to the kernel and is nobody's (CVE-2026-46680's class: a
// number that does not fit must not become root).
func id(s string) (uint32, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err == nil && v != 1<<32-1
}

// isName tells whether a name can be meant: not empty, no number (which would be taken for an id), no odd characters.
func isName(s string) bool {
	return s != "" && len(s) <= maxAccountName && isText(s) && !strings.ContainsAny(s, " ,/+") && s[0] != '-' &&
		strings.Trim(s, "0123456789") != ""
}

func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}
