package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/term"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/engineapi"
	"github.com/brig-engine/brig/internal/drill/ownengine"
)

// depth drills engines of our own, whose defences can be removed, away from the machine's network.
func (o *options) depth(ctx context.Context, out io.Writer, dir string, options drill.Options) (exposed bool, err error) {
	layers, err := readLayers(filepath.Join(dir, "depth"))
	if err != nil {
		return false, err
	}
	if err := ownengine.Apart("BRIG_DRILL_APART"); err != nil {
		return false, fmt.Errorf("a network of the drill's own: %w", err)
	}
	tell, done := func(string) {}, func() {}
	if term.IsTerminal(2) {
		tell = func(what string) { fmt.Fprintf(os.Stderr, "\r\x1b[K%s", what) }
		done = func() { fmt.Fprint(os.Stderr, "\r\x1b[K") }
	}
	rows, err := drill.TryDepth(ctx, starter(filepath.Join(dir, "depth")), layers, options, tell)
	done()
	if err != nil {
		return false, err
	}
	for _, d := range rows {
		exposed = exposed || d.With == drill.Exposed
	}
	if o.format == "json" {
		return exposed, drill.RenderDepthJSON(out, layers, rows)
	}
	drill.RenderDepth(out, style(), layers, rows)
	return exposed, nil
}

// readLayers reads which defences the programs in dir can do without.
func readLayers(dir string) (layers []drill.Layer, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "defences.txt"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("--depth needs programs whose defences can be removed, in %s. Next: make depth, in Brig's source tree", dir)
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		id, what, _ := strings.Cut(strings.TrimSpace(line), "\t")
		layers = append(layers, drill.Layer{ID: id, What: what})
	}
	return layers, nil
}

// starter starts engines of the programs in bin.
func starter(bin string) drill.Starter {
	return func(ctx context.Context, without []string) (drill.Engine, func() error, error) {
		if err := os.Setenv("BRIG_WITHOUT", strings.Join(without, ",")); err != nil { // the engine inherits it
			return nil, nil, err
		}
		own, err := ownengine.Start(ctx, bin, io.Discard)
		if err != nil {
			return nil, nil, err
		}
		stop := func() error {
			left, err := own.Stop()
			if len(left) > 0 {
				err = errors.Join(err, fmt.Errorf("left behind: %v", left))
			}
			return err
		}
		e, err := engineapi.Dial(ctx, own.Socket)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		return e, stop, nil
	}
}
