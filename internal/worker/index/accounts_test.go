package index_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/google/go-cmp/cmp"
)

// withFiles makes the tar of a layer of files and links ("-> target").
func withFiles(t testing.TB, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := tar.Header{Name: f[0], Typeflag: tar.TypeReg, Size: int64(len(f[1])), Mode: 0o644}
		body := f[1]
		if to, ok := strings.CutPrefix(body, "-> "); ok {
			h.Typeflag, h.Linkname, h.Size, body = tar.TypeSymlink, to, 0, ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return b.Bytes()
}

// TestOnlyWellFormedAccountsCount: what does not parse is nobody, above all not root (CVE-2026-46680).
func TestOnlyWellFormedAccountsCount(t *testing.T) {
	passwd := strings.Join([]string{
		"root:x:0:0:root:/root:/bin/sh",
		"# comment", "", "short:x:5", "+nis::::::", "nouid:x::0::/:", "negative:x:-1:0::/:", "hex:x:0x0:0::/:",
		"plus:x:+1:0::/:", "space:x: 1:0::/:", "nobody4:x:4294967295:0::/:", "wrap:x:4294967296:0::/:",
		"huge:x:99999999999999999999999:0::/:", "gid:x:1:4294967295::/:", "1000:x:0:0::/:", ":x:1:1::/:", "a b:x:1:1::/:",
		"-x:x:1:1::/:", "root:x:77:77::/evil:", "nul\x00l:x:1:1::/:", "bad\xff:x:1:1::/:",
		"max:x:4294967294:4294967294::relative:", "octal:x:010:010::/home/o:/bin/sh", "last:x:9:9:name, with:/l:sh:extra",
	}, "\n")
	group := "root:x:0:\nwheel:x:10:root, last,,1000,bad name\nbad:x:-1:root\nshort:x\nwheel:x:11:evil\nnomembers:x:12\n"
	b, err := build(t, withFiles(t, [2]string{"etc/passwd", passwd}, [2]string{"etc/group", group}))
	if err != nil {
		t.Fatal(err)
	}
	want := []jobs.ImageUser{{Name: "root", Home: "/root"}, {Name: "max", UID: 1<<32 - 2, GID: 1<<32 - 2},
		{Name: "octal", UID: 10, GID: 10, Home: "/home/o"}, {Name: "last", UID: 9, GID: 9, Home: "/l"}}
	if diff := cmp.Diff(want, b.merged.Users); diff != "" {
		t.Error(diff)
	}
	groups := []jobs.ImageGroup{{Name: "root"}, {Name: "wheel", GID: 10, Members: []string{"root", "last"}},
		{Name: "nomembers", GID: 12}}
	if diff := cmp.Diff(groups, b.merged.Groups); diff != "" {
		t.Error(diff)
	}
	if b.merged.Accounts != "" {
		t.Error(b.merged.Accounts)
	}
}

// TestAccountsAreFoundInsideTheImage: links are followed in the image's own tree, and nowhere else.
func TestAccountsAreFoundInsideTheImage(t *testing.T) {
	const text = "me:x:1:1::/:\n"
	for name, c := range map[string]struct {
		files [][2]string
		want  int
	}{
		"plain":           {[][2]string{{"etc/passwd", text}}, 1},
		"none":            {nil, 0},
		"link":            {[][2]string{{"etc/passwd", "-> ../usr/passwd"}, {"usr/passwd", text}}, 1},
		"absolute link":   {[][2]string{{"etc", "-> /usr/./etc/"}, {"usr/etc/passwd", text}}, 1},
		"link out":        {[][2]string{{"etc/passwd", "-> ../../../../../../../../etc/group"}}, 0},
		"out and in":      {[][2]string{{"etc/passwd", "-> ../../../x"}, {"x", text}}, 1},
		"loop":            {[][2]string{{"etc/passwd", "-> passwd"}}, 0},
		"long loop":       {[][2]string{{"etc/passwd", "-> ../a"}, {"a", "-> b/../a/x"}, {"b/c", ""}}, 0},
		"dangling":        {[][2]string{{"etc/passwd", "-> nothing"}}, 0},
		"directory":       {[][2]string{{"etc/passwd/x", text}}, 0},
		"below a file":    {[][2]string{{"etc", text}}, 0},
		"empty":           {[][2]string{{"etc/passwd", ""}}, 0},
		"no last newline": {[][2]string{{"etc/passwd", strings.TrimSpace(text)}}, 1},
	} {
		b, err := build(t, withFiles(t, c.files...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(b.merged.Users) != c.want {
			t.Errorf("%s: %v", name, b.merged.Users)
		}
	}
}

// TestHugeAccountsAreCut (CVE-2026-47262): the result stays small and says that it is not all.
func TestHugeAccountsAreCut(t *testing.T) {
	var lines, group strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&lines, "u%d:x:%d:1::/:\n", i, i)
	}
	group.WriteString("g:x:1:")
	for i := range 200_000 {
		fmt.Fprintf(&group, "member%d,", i)
	}
	b, err := build(t, withFiles(t, [2]string{"etc/passwd", lines.String()}, [2]string{"etc/group", group.String()}))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.merged.Users) != 10_000 || len(b.merged.Groups) != 0 || b.merged.Accounts == "" {
		t.Errorf("%d users, %d groups, %q", len(b.merged.Users), len(b.merged.Groups), b.merged.Accounts)
	}
}
