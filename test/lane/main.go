// lane runs the repository's tests and ends with a table of what ran and what was skipped for which missing kernel
// feature. A skip whose reason is not in the list of allowed skips is a failure, and so is a run without any test.
//
// Tests that failed are tried once more, alone on the machine: a few may be unsteady, which is said, and whoever fails
// again has failed. What they printed comes last.
//
//	go run ./test/lane [-slow] [-skips FILE] [packages]
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"
)

// event is one line of go test -json (cmd/test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// result is what became of one package.
type result struct {
	passed, failed, skipped int
	seconds                 float64
	broken                  bool // did not build, or failed outside any test
}

// lane is the state of one run.
type lane struct {
	allowed  map[string]bool
	packages map[string]*result
	output   map[string][]string // by package and test, until its end is known
	skips    map[string][]string // reason → tests
	failures []failure
}

func main() {
	slow := flag.Bool("slow", false, "also what takes long: real images, scale (sets BRIG_SLOW=1)")
	each := flag.Duration("fuzz", 0, "afterwards run each fuzz target this long")
	skips := flag.String("skips", "test/skips.txt", "list of allowed skips, one reason a line")
	timeout := flag.Duration("timeout", 10*time.Minute, "of one package")
	flag.Parse()
	allowed, err := readAllowed(*skips)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lane:", err)
		os.Exit(1)
	}
	l := &lane{allowed: allowed, packages: map[string]*result{}, output: map[string][]string{}, skips: map[string][]string{}}
	start := time.Now()
	args := append([]string{"test", "-json", "-p", "2", "-timeout", timeout.String()}, packages()...)
	if err := l.run(args, *slow); err != nil {
		fmt.Fprintln(os.Stderr, "lane:", err)
		os.Exit(1)
	}
	again(l.failures, *slow, *timeout)
	good := l.summary(os.Stdout, time.Since(start))
	if *each > 0 {
		failed, err := fuzz(packages(), *each)
		if err != nil {
			fmt.Fprintln(os.Stderr, "lane:", err)
		}
		good = good && err == nil && failed == 0
	}
	if !good {
		os.Exit(1)
	}
}

func packages() []string {
	if flag.NArg() > 0 {
		return flag.Args()
	}
	return []string{"./..."}
}

// readAllowed reads the reasons, without comments.
func readAllowed(path string) (map[string]bool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	allowed := map[string]bool{}
	for _, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			allowed[line] = true
		}
	}
	return allowed, nil
}

func (l *lane) run(args []string, slow bool) error {
	cmd := goCommand(args, slow)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := l.read(out); err != nil {
		return err
	}
	cmd.Wait() // the events say what failed
	return nil
}

func (l *lane) read(r io.Reader) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var e event
		if json.Unmarshal(s.Bytes(), &e) != nil {
			fmt.Println(s.Text())
			continue
		}
		l.take(e)
	}
	return s.Err()
}

func (l *lane) take(e event) {
	key := e.Package + " " + e.Test
	p := l.packages[e.Package]
	if p == nil {
		p = &result{}
		l.packages[e.Package] = p
	}
	switch e.Action {
	case "output", "build-output":
		l.output[key] = append(l.output[key], e.Output)
		return
	case "pass", "fail", "skip":
		if e.Test == "" {
			l.endPackage(e, p)
		} else {
			l.endTest(e, p, key)
		}
		delete(l.output, key)
	}
}

func (l *lane) endPackage(e event, p *result) {
	p.seconds = e.Elapsed
	if e.Action == "fail" {
		fmt.Print(strings.Join(l.output[e.Package+" "], ""))
		p.broken = p.failed == 0
	}
	if e.Action != "skip" {
		fmt.Printf("%-5s %6.1fs  %s\n", e.Action, e.Elapsed, short(e.Package))
	}
}

func (l *lane) endTest(e event, p *result, key string) {
	switch e.Action {
	case "pass":
		p.passed++
	case "fail":
		p.failed++
		l.failures = append(l.failures, failure{pkg: e.Package, test: e.Test, output: l.output[key]})
		fmt.Print(strings.Join(l.output[key], ""))
	case "skip":
		p.skipped++
		reason := reasonOf(l.output[key])
		l.skips[reason] = append(l.skips[reason], short(e.Package)+" "+e.Test)
	}
}

// reasonOf finds the sentence of t.Skip: "    file_test.go:12: missing: loop devices".
func reasonOf(output []string) string {
	for _, line := range output {
		if i := strings.Index(line, "missing: "); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
	}
	return "no reason given"
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/brig-engine/brig/") }

// summary prints the table and tells whether everything is as it must be.
func (l *lane) summary(w io.Writer, took time.Duration) bool {
	var total result
	broken := 0
	names := make([]string, 0, len(l.packages))
	for name := range l.packages {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(w, "\n%-44s %7s %7s %8s %8s\n", "package", "passed", "failed", "skipped", "seconds")
	for _, name := range names {
		p := l.packages[name]
		total.passed, total.failed, total.skipped = total.passed+p.passed, total.failed+p.failed, total.skipped+p.skipped
		if p.broken {
			broken++
		}
		if p.passed+p.failed+p.skipped > 0 || p.broken {
			fmt.Fprintf(w, "%-44s %7d %7d %8d %8.1f\n", short(name), p.passed, p.failed, p.skipped, p.seconds)
		}
	}
	unexpected := l.printSkips(w)
	failed := printFailures(w, l.failures) + broken
	fmt.Fprintf(w, "%s\n%d passed, %d failed, %d skipped\n", took.Round(time.Second),
		total.passed+total.failed+broken-failed, failed, total.skipped)
	return failed == 0 && unexpected == 0 && total.passed > 0
}

func (l *lane) printSkips(w io.Writer) (unexpected int) {
	reasons := make([]string, 0, len(l.skips))
	for r := range l.skips {
		reasons = append(reasons, r)
	}
	sort.Strings(reasons)
	for _, r := range reasons {
		mark := "skipped"
		if !l.allowed[r] {
			mark = "NOT ALLOWED (test/skips.txt)"
			unexpected++
		}
		fmt.Fprintf(w, "%s  %s: %s\n", mark, r, strings.Join(l.skips[r], ", "))
	}
	return unexpected
}
