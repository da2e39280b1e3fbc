// Command survey is what `make survey` does: it executes docs/survey.md. Each row of the page has commands as a person
// types them and what they answer; all of them are typed here, against an engine of their own, in a network of their own,
// and one line for each row says what became of it. The status is 1 if a row does not hold.
//
//	survey [-bin DIR] [-page FILE] [-only ROW,ROW] [-write]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/brig-engine/brig/internal/drill/ownengine"
)

type options struct {
	bin, page, only string
	write           bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&o.page, "page", filepath.Join("docs", "survey.md"), "the page")
	flag.StringVar(&o.only, "only", "", "execute these rows only (A3,C4); rows may need what an earlier one made")
	flag.BoolVar(&o.write, "write", false, "write into the page what the commands answered; look at the change afterwards")
	flag.Parse()
	if os.Geteuid() != 0 {
		status, err := ownengine.AsRoot("The engine needs root")
		if err != nil {
			fmt.Fprintln(os.Stderr, "survey: root is needed: "+err.Error())
		}
		os.Exit(status)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	good, err := o.run(ctx, os.Stdout, os.Stderr)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "survey: "+err.Error())
	}
	stop()
	if err != nil || !good {
		os.Exit(1)
	}
}

// run executes the page. Rows go to out, everything else to log.
func (o *options) run(ctx context.Context, out, log io.Writer) (good bool, err error) {
	text, err := os.ReadFile(o.page)
	if err != nil {
		return false, err
	}
	p, err := parse(string(text))
	if err != nil {
		return false, fmt.Errorf("%s: %w", o.page, err)
	}
	start := time.Now()
	chosen, err := p.choose(o.only)
	if err != nil {
		return false, err
	}
	if err := execute(ctx, o.bin, chosen); err != nil {
		return false, err
	}
	if o.write {
		p.accept()
	}
	report(out, chosen)
	failed := explain(log, chosen)
	fmt.Fprintf(log, "%s in %.1f s\n", tally(chosen), time.Since(start).Seconds())
	switch now := p.render(); {
	case now == string(text):
	case o.write:
		fmt.Fprintf(log, "%s is written. Next: git diff %s\n", o.page, o.page)
		return true, os.WriteFile(o.page, []byte(now), 0o644)
	case o.only == "":
		fmt.Fprintf(log, "%s: its table is not what the run showed. Next: go run ./test/survey -write\n", o.page)
		return false, nil
	}
	return failed == 0, nil
}

// choose is the rows that are named, in the page's order; all if none is.
func (p *page) choose(only string) ([]*row, error) {
	if only == "" {
		return p.rows, nil
	}
	var chosen []*row
	wanted := strings.Split(only, ",")
	for _, r := range p.rows {
		for _, id := range wanted {
			if r.id == id {
				chosen = append(chosen, r)
			}
		}
	}
	if len(chosen) != len(wanted) {
		return nil, fmt.Errorf("-only %s: %d of these are rows of the page", only, len(chosen))
	}
	return chosen, nil
}
