package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func depthSample() ([]Layer, []Depth) {
	layers := []Layer{{"filter", "a filter"}, {"names", "names of its own"}, {"bounds", "bounds"}}
	row := func(probe string, class Class, with, filter, names, bounds, none string, alone ...string) Depth {
		return Depth{probe, class, with, map[string]string{"filter": filter, "names": names, "bounds": bounds}, none, alone}
	}
	return layers, []Depth{
		row("abi-32", A1, Blocked, Exposed, Blocked, Blocked, Exposed, "filter"),
		row("fork-bomb", A2, Blocked, Blocked, CouldNotTry, Exposed, Exposed, "names", "bounds"),
		row("registry-certificate", A6, Blocked, Blocked, Blocked, Blocked, Blocked),
		row("mknod-disk", A3, Exposed, Exposed, Exposed, Exposed, Exposed),
		row("metadata", A5, NotApplicable, NotApplicable, NotApplicable, NotApplicable, NotApplicable),
	}
}

func TestDepthMatrix(t *testing.T) {
	layers, rows := depthSample()
	var text, color, js bytes.Buffer
	RenderDepth(&text, Style{}, layers, rows)
	golden(t, "depth.txt", text.Bytes())
	RenderDepth(&color, Style{Color: true}, layers, rows)
	golden(t, "depth-color.txt", color.Bytes())
	if err := RenderDepthJSON(&js, layers, rows); err != nil || !json.Valid(js.Bytes()) {
		t.Errorf("%v: %s", err, js.Bytes())
	}
	golden(t, "depth.json", js.Bytes())
}

// An engine that does not start, or does not go, ends the trial, and says without what that was.
func TestDepthNamesTheEngineThatFailed(t *testing.T) {
	layers, _ := depthSample()
	var heard []string
	start := func(_ context.Context, without []string) (Engine, func() error, error) {
		return nil, nil, errors.New("no engine without " + strings.Join(without, "+"))
	}
	_, err := TryDepth(t.Context(), start, layers, Options{Only: []string{"abi-32"}}, func(what string) { heard = append(heard, what) })
	if err == nil || !strings.Contains(err.Error(), "with every layer: no engine without") || len(heard) != 1 {
		t.Errorf("%v, after %v", err, heard)
	}
}
