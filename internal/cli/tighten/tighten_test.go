package tighten

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestAdviceIsWhatTheFactsSay(t *testing.T) {
	app, root := Process{1000, 1000, "app"}, Process{0, 0, "sh"}
	look := func(dirs map[string]Dir) func(string) (Dir, error) {
		return func(dir string) (Dir, error) {
			d, ok := dirs[dir]
			if !ok {
				return d, errors.New("there is none")
			}
			return d, nil
		}
	}
	for name, c := range map[string]struct {
		facts     Facts
		options   string
		notes     string // part of them
		obstacles string
	}{
		"nothing but a user":  {Facts{Processes: []Process{app, app}}, "--level strict -u 1000:1000", "", ""},
		"root alone":          {Facts{Processes: []Process{root}}, "--level strict", "", "-u: sh ran as root"},
		"root beside a user":  {Facts{Processes: []Process{root, app}}, "--level strict -u 1000:1000", "sh ran as root beside it", ""},
		"two users":           {Facts{Processes: []Process{app, {7, 7, "b"}}}, "--level strict", "", "app as 1000:1000, b as 7:7"},
		"a network that idle": {Facts{Processes: []Process{app}, Networks: []string{"bridge"}}, "--level strict -u 1000:1000", "no byte", ""},
		"networks in use":     {Facts{Processes: []Process{app}, Networks: []string{"a", "b"}, Used: true}, "--level strict -u 1000:1000 --network a --network b", "", ""},
		"none":                {Facts{Processes: []Process{app}, Networks: []string{"none"}, Used: true}, "--level strict -u 1000:1000", "", ""},
		"what strict has not": {Facts{Processes: []Process{app}, CapAdd: []string{"NET_ADMIN"}, Devices: []string{"/dev/fuse"}}, "--level strict -u 1000:1000", "", "--cap-add NET_ADMIN: level strict has none; try without\n--device /dev/fuse"},
		"a file in /run": {Facts{Processes: []Process{app}, Changes: map[string]int{"/run": Changed, "/run/app.pid": Added},
			Look: look(map[string]Dir{"/run": {Names: []string{"lock", "app.pid"}}})}, "--level strict -u 1000:1000 --tmpfs /run", "", ""},
		"the image's own directory in /run": {Facts{Processes: []Process{app}, Changes: map[string]int{"/run": Changed, "/run/app.pid": Added, "/run/app": Changed, "/run/app/rows": Changed, "/run/made": Added, "/run/made/f": Added},
			Look: look(map[string]Dir{"/run": {Names: []string{"app", "app.pid", "made"}}, "/run/app": {UID: 1000, Names: []string{"rows"}}})}, "--level strict -u 1000:1000 --tmpfs /run -v /run/app", "", ""},
		"what it made there": {Facts{Processes: []Process{app}, Changes: map[string]int{"/run/app": Changed, "/run/app/db": Added, "/run/app/db/f": Added},
			Look: look(map[string]Dir{"/run/app/db": {UID: 1000, Names: []string{"f"}, Files: true}})}, "--level strict -u 1000:1000 --tmpfs /run/app/db", "/run/app/db is in memory", ""},
		"an empty directory of root's": {Facts{Processes: []Process{app}, Changes: map[string]int{"/var": Changed, "/var/lib": Changed, "/var/lib/a": Changed, "/var/lib/a/x": Added},
			Look: look(map[string]Dir{"/var/lib/a": {Names: []string{"x"}}})}, "--level strict -u 1000:1000 --tmpfs /var/lib/a", "/var/lib/a is in memory", ""},
		"a directory that was made": {Facts{Processes: []Process{app}, Changes: map[string]int{"/run": Changed, "/run/db": Added, "/run/db/s": Added, "/run/db/s/x": Added, "/n": Added, "/n/f": Added},
			Look: look(map[string]Dir{"/run/db": {UID: 1000, Names: []string{"s"}}, "/n": {UID: 1000, Names: []string{"f"}}})}, "--level strict -u 1000:1000 --tmpfs /n --tmpfs /run/db", "/n is in memory", ""},
		"a directory of the user's": {Facts{Processes: []Process{app}, Changes: map[string]int{"/data": Changed, "/data/f": Added},
			Look: look(map[string]Dir{"/data": {UID: 1000, Names: []string{"f", "g"}}})}, "--level strict -u 1000:1000 -v /data", "-v NAME:/data", ""},
		"a group's": {Facts{Processes: []Process{app}, Changes: map[string]int{"/data/f": Changed},
			Look: look(map[string]Dir{"/data": {GID: 1000, Mode: 0o775, Names: []string{"f"}}})}, "--level strict -u 1000:1000 -v /data", "", ""},
		"files of the image": {Facts{Processes: []Process{app}, Changes: map[string]int{"/etc": Changed, "/etc/conf": Changed},
			Look: look(map[string]Dir{"/etc": {Names: []string{"conf", "passwd"}}})}, "--level strict -u 1000:1000", "", "/etc is another user's (0:0) and holds files of the image; it wrote /etc/conf"},
		"the root directory": {Facts{Processes: []Process{app}, Changes: map[string]int{"/x": Added, "/y": Added},
			Look: look(map[string]Dir{"/": {Names: []string{"x", "y", "etc"}}})}, "--level strict -u 1000:1000", "", "root directory itself: /x, /y"},
		"one below another": {Facts{Processes: []Process{app}, Changes: map[string]int{"/d": Changed, "/d/a": Added, "/d/s": Changed, "/d/s/b": Changed},
			Look: look(map[string]Dir{"/d": {UID: 1000, Names: []string{"a", "s"}}})}, "--level strict -u 1000:1000 -v /d", "", ""},
		"gone":      {Facts{Processes: []Process{app}, Changes: map[string]int{"/d/a": Deleted}, Look: look(nil)}, "--level strict -u 1000:1000", "", "cannot be looked at: there is none"},
		"read-only": {Facts{Processes: []Process{app}, Changes: map[string]int{"/d/a": Deleted}, ReadOnly: true}, "--level strict -u 1000:1000", "", ""},
	} {
		a := Make(&c.facts)
		if got := strings.Join(a.Options, " "); got != c.options {
			t.Errorf("%s: %s, want %s", name, got, c.options)
		}
		notes, obstacles := strings.Join(a.Notes, "\n"), strings.Join(a.Obstacles, "\n")
		if !strings.Contains(notes, c.notes) || !strings.Contains(obstacles, c.obstacles) || (obstacles == "") != (c.obstacles == "") {
			t.Errorf("%s: notes %q, obstacles %q", name, notes, obstacles)
		}
	}
}

// Whatever a container calls its files, each directory is named once, and none below another, but the image's in /run and its like.
func FuzzPlaces(f *testing.F) {
	f.Add("/a/b\x00/a\x00/a/b/c\x00/")
	f.Add("run/b\x00run/a/b\x00run/a/c\x00")
	f.Add("x\x00") // the root directory, added
	f.Fuzz(func(t *testing.T, text string) {
		facts := Facts{Changes: map[string]int{}}
		for i, p := range strings.Split(text, "\x00") {
			facts.Changes["/"+p] = i % 3
		}
		list := places(&facts)
		if len(list) == 0 {
			t.Error("a change has no place")
		}
		for i, p := range list {
			for _, q := range list[i+1:] {
				own := slices.Contains(volatile, p.dir) && !(q.made && isVolatile(facts.Changes, q.dir))
				if p.dir != "/" && !own && (p.dir == q.dir || strings.HasPrefix(q.dir, p.dir+"/")) {
					t.Errorf("%q and %q", p.dir, q.dir)
				}
			}
		}
	})
}

// What would only be in memory is told apart from what begins empty anyway, and a name that an option reads otherwise is none.
func TestWhatWouldBeLost(t *testing.T) {
	for name, c := range map[string]struct {
		dir      Dir
		at       string
		lost     string
		empty    string
		obstacle string
	}{
		"files":                         {Dir{UID: 1000, Names: []string{"f"}, Files: true}, "/db", "/db", "", ""},
		"directories":                   {Dir{UID: 1000, Names: []string{"f"}}, "/db", "", "/db", ""},
		"files in /run":                 {Dir{UID: 1000, Names: []string{"f"}, Files: true}, "/run/db", "", "", ""},
		"files in the image's /run/app": {Dir{UID: 1000, Names: []string{"f"}, Files: true}, "/run/app/db", "/run/app/db", "", ""},
		"another's name":                {Dir{UID: 1000, Names: []string{"f"}}, "/etc:/data", "", "", `"/etc:/data" was written to, and no option can name it`},
		"reordered":                     {Dir{UID: 1000, Names: []string{"f"}}, "/srv/\u202etad", "", "", `"/srv/\u202etad" was written to`},
		"no text":                       {Dir{UID: 1000, Names: []string{"f"}}, "/a\ufffdb", "", "", `was written to, and no option can name it`},
		"a new line":                    {Dir{UID: 1000, Names: []string{"f"}}, "/a\nb", "", "", `"/a\nb" was written to`},
	} {
		a := Make(&Facts{Processes: []Process{{1000, 1000, "app"}}, Changes: map[string]int{c.at: Added, c.at + "/f": Added},
			Look: func(string) (Dir, error) { return c.dir, nil }})
		if got := strings.Join(a.Lost, " "); got != c.lost {
			t.Errorf("%s: lost %q", name, got)
		}
		if got := strings.Join(a.Empty, " "); got != c.empty {
			t.Errorf("%s: empty %q", name, got)
		}
		if got := strings.Join(a.Obstacles, " "); !strings.Contains(got, c.obstacle) || (got == "") != (c.obstacle == "") || strings.Contains(strings.Join(a.Options, " "), "etc:") {
			t.Errorf("%s: obstacles %q, options %q", name, got, a.Options)
		}
	}
}
