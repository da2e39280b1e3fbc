package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands answer into docs/survey.md")

// rows are those of the mission: the engine, the attacks, the guidelines, the survey's own commands, the levels.
func rows() (ids []string) {
	for _, kind := range []struct {
		letter string
		n      int
	}{{"E", 7}, {"A", 7}, {"G", 16}, {"C", 11}, {"L", 3}} {
		for i := range kind.n {
			ids = append(ids, fmt.Sprintf("%s%d", kind.letter, i+1))
		}
	}
	return ids
}

// remarks are rows that may say "not yet" of something that no command can show.
var remarks = []string{"E4"}

func readPage(t *testing.T) (string, *page) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "survey.md"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), p
}

// TestSurvey executes docs/survey.md, as make survey does.
func TestSurvey(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("the survey starts an engine. Next: sudo make test")
	}
	text, p := readPage(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := execute(ctx, filepath.Join("..", "..", "bin"), p.rows); err != nil {
		t.Fatal(err)
	}
	if *update {
		p.accept()
	}
	for _, r := range p.rows {
		t.Run(r.id, func(t *testing.T) {
			for _, s := range r.steps {
				if s.got != nil && !s.holds() {
					t.Error(s.difference())
				}
			}
			if r.skipped() > 0 {
				t.Run("docker", func(t *testing.T) { t.Skip(noDocker) })
			}
		})
	}
	if now := p.render(); *update && now != text {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "survey.md"), []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if now != text {
		t.Error("the page's table is not what the run showed. Next: go run ./test/survey -write")
	}
}

// TestEveryRowIsTriedAndCanFail holds the page to its own rules.
func TestEveryRowIsTriedAndCanFail(t *testing.T) {
	_, p := readPage(t)
	var ids []string
	for _, r := range p.rows {
		ids = append(ids, r.id)
		typed, lacking := 0, 0
		for _, s := range r.steps {
			if s.missing {
				lacking++
			}
			switch {
			case s.command == "" && !(s.missing && slices.Contains(remarks, r.id)):
				t.Errorf("%s: %q has no command", r.id, s.caption)
			case s.command != "" && !callsDocker.MatchString(s.command): // which is not everywhere
				typed++
			}
			if s.vague() {
				t.Errorf("%s: any answer would do: %s", r.id, s.command)
			}
		}
		if typed == 0 {
			t.Errorf("%s: nothing is typed", r.id)
		}
		if strings.HasPrefix(r.id, "C") {
			continue // has no prose to compare
		}
		if says := r.says("Not yet"); says != (lacking > 0) {
			t.Errorf("%s: says \"Not yet\": %t, and %d of its commands show something that is not there", r.id, says, lacking)
		}
		if says, there := r.says("Default") || r.says("On request"), len(r.steps) > lacking; says != there {
			t.Errorf("%s: says what is there: %t, and shows it: %t", r.id, says, there)
		}
	}
	if !slices.Equal(ids, rows()) {
		t.Errorf("the page has the rows %v, want %v", ids, rows())
	}
}

// small is a page with everything that a page can have.
const small = `# A page

## What the run showed

old

## E. Rows

### E1 Title

Default: this. Not yet: that.

` + "```console" + `
# it says two lines
$ echo one; echo two
one
t…
# not yet: a way to succeed
$ echo no >&2; exit 3
no
(exit status 3)
$ for i in 1 2; do
>   echo $i
> done
1
2
` + "```" + `
`

// typeAll runs a page's commands in a plain shell, without an engine.
func typeAll(t *testing.T, text string) *page {
	t.Helper()
	p, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := &room{dir: t.TempDir(), env: os.Environ()}
	for _, row := range p.rows {
		for _, s := range row.steps {
			if err := r.try(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

func TestAPageThatHoldsIsKept(t *testing.T) {
	const table = "\n| row | state | point | the commands show |\n|---|---|---|---|\n" +
		"| E1 | partly | Title | it says two lines; not yet: a way to succeed |\n"
	p := typeAll(t, small)
	if state := p.rows[0].state(); state != partly {
		t.Fatalf("%s\n%s", state, p.rows[0].steps[0].difference())
	}
	want := strings.Replace(small, "\nold\n", table, 1)
	if got := p.render(); got != want {
		t.Errorf("rendered:\n%s\nwant:\n%s", got, want)
	}
	p.accept() // nothing to accept: gaps stay gaps
	if got := p.render(); got != want {
		t.Errorf("after accept:\n%s", got)
	}
	var out bytes.Buffer
	report(&out, p.rows)
	if line := out.String(); strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "partly  E1  Title ") {
		t.Errorf("%q", line)
	}
}

func TestWhatChangedIsFoundAndAccepted(t *testing.T) {
	for name, change := range map[string]struct{ old, now string }{
		"another line":      {"echo one;", "echo other;"},
		"a line more":       {"echo two", "echo two; echo three"},
		"a line less":       {"; echo two", ""},
		"another status":    {"exit 3", "exit 4"},
		"it was built":      {"echo no >&2; exit 3", "echo yes"},
		"an error as well":  {"echo two", "echo two; echo oops >&2"},
		"success, no words": {"echo no >&2; exit 3", "exit 0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := typeAll(t, strings.Replace(small, change.old, change.now, 1))
			if state := p.rows[0].state(); state != broken {
				t.Errorf("%s, want %s", state, broken)
			}
			var log bytes.Buffer
			if explain(&log, p.rows) != 1 || !strings.Contains(log.String(), "E1, line ") {
				t.Errorf("explained as %q", &log)
			}
			p.accept()
			again := typeAll(t, p.render())
			if state := again.rows[0].state(); state == broken {
				t.Errorf("what was accepted does not hold: %s", again.render())
			}
		})
	}
}

func TestWhatWouldNotBeExecutedIsAnError(t *testing.T) {
	for name, change := range map[string]struct{ old, now string }{
		"another kind of block":        {"```console", "```sh"},
		"indented":                     {"```console", "    $ brig ps\n```console"},
		"no caption":                   {"# it says two lines\n", ""},
		"no command":                   {"$ echo one; echo two\n", ""},
		"a block without an end":       {"2\n```", "2"},
		"no table":                     {tableHeading, "## Results"},
		"a bare caption in the middle": {"# not yet: a way to succeed", "# not yet: a way to succeed\nno"},
	} {
		if _, err := parse(strings.Replace(small, change.old, change.now, 1)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestVagueAnswersAreSeen(t *testing.T) {
	for _, c := range []struct {
		want  answer
		vague bool
	}{
		{answer{}, false}, {answer{status: 1}, false}, {answer{lines: []string{"…"}, status: 1}, false},
		{answer{lines: []string{"…"}}, true}, {answer{lines: []string{"…", "… …"}}, true}, {answer{lines: []string{"…", "x…"}}, false},
	} {
		if got := (&step{want: c.want}).vague(); got != c.vague {
			t.Errorf("%v: %t", c.want, got)
		}
	}
}

func TestCommandsAreSeenForWhatTheyNeed(t *testing.T) {
	for line, want := range map[string][2]bool{ // docker, terminal
		"docker ps":                       {true, false},
		"brig ps; docker run -it box sh":  {true, true},
		"for i in 1; do docker ps; done":  {true, false},
		"DOCKER_CONTENT_TRUST=1 brig ps":  {false, false},
		"brig run -i -t box sh":           {false, true},
		"brig drill --engine docker --it": {false, false},
		"test -t 0; X=1 docker ps":        {true, true},
	} {
		if got := [2]bool{callsDocker.MatchString(line), onTerminal.MatchString(line)}; got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}
