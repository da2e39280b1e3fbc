package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Layer is a defence that an engine of our own can be started without.
type Layer struct {
	ID   string `json:"id"`
	What string `json:"what"`
}

// Depth is what the removal of layers showed of one probe. Layers are named by their ids.
type Depth struct {
	Probe  string `json:"probe"`
	Attack Class  `json:"attack"`
	// With is the verdict with every layer, Without with one layer off, None with all of them off.
	With    string            `json:"with"`
	Without map[string]string `json:"without"`
	None    string            `json:"none"`
	// Alone lists the layers each of which stopped the attack while all others were off: that many are independent. It
	// is empty if the attack fails with all of them off, too: then it is the engine's structure that stops it.
	Alone []string `json:"alone"`
}

// Starter starts an engine without these layers.
type Starter func(ctx context.Context, without []string) (e Engine, stop func() error, err error)

// TryDepth drills engines that were started without layers: each layer off, all off, and for what got through then all
// off but one. tell, if not nil, hears before each engine what it is about.
func TryDepth(ctx context.Context, start Starter, layers []Layer, options Options, tell func(string)) ([]Depth, error) {
	t := &depthTrial{ctx: ctx, start: start, options: options, tell: tell, rows: map[string]*Depth{}}
	all := make([]string, len(layers))
	for i, l := range layers {
		all[i] = l.ID
	}
	for _, p := range options.Selected() {
		d := &Depth{Probe: p.ID, Attack: p.Class, Without: map[string]string{}, Alone: []string{}}
		t.rows[p.ID], t.order = d, append(t.order, p.ID)
	}
	if err := t.try("with every layer", nil, t.order, func(d *Depth, v string) { d.With = v }); err != nil {
		return nil, err
	}
	for _, l := range all {
		if err := t.try("without "+l, []string{l}, t.order, func(d *Depth, v string) { d.Without[l] = v }); err != nil {
			return nil, err
		}
	}
	if err := t.try("without any", all, t.order, func(d *Depth, v string) { d.None = v }); err != nil {
		return nil, err
	}
	open := slices.DeleteFunc(slices.Clone(t.order), func(id string) bool { return t.rows[id].None != Exposed })
	for i, l := range all {
		others := slices.Delete(slices.Clone(all), i, i+1)
		alone := func(d *Depth, v string) {
			if v == Blocked {
				d.Alone = append(d.Alone, l)
			}
		}
		if err := t.try("with nothing but "+l, others, open, alone); err != nil {
			return nil, err
		}
	}
	out := make([]Depth, 0, len(t.order))
	for _, id := range t.order {
		out = append(out, *t.rows[id])
	}
	slices.SortStableFunc(out, func(a, b Depth) int { return strings.Compare(string(a.Attack), string(b.Attack)) })
	return out, nil
}

type depthTrial struct {
	ctx     context.Context
	start   Starter
	options Options
	tell    func(string)
	order   []string // ids as they run
	rows    map[string]*Depth
}

// try drills one engine with these probes.
func (t *depthTrial) try(what string, without, probes []string, note func(*Depth, string)) (err error) {
	if len(probes) == 0 {
		return nil
	}
	if t.tell != nil {
		t.tell(what)
	}
	engine, stop, err := t.start(t.ctx, without)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() {
		if stopErr := stop(); err == nil && stopErr != nil {
			err = fmt.Errorf("%s: %w", what, stopErr)
		}
	}()
	options := t.options
	options.Only = probes
	report, err := Run(t.ctx, engine, options)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, v := range report.Verdicts {
		note(t.rows[v.Probe], v.Verdict)
	}
	return nil
}

// marks are the verdicts in a cell of the matrix.
var marks = map[string]string{Blocked: ".", Exposed: "X", CouldNotTry: "?", NotApplicable: "/"}

// RenderDepth writes the removal matrix: a line for each probe, a column for each layer.
func RenderDepth(w io.Writer, style Style, layers []Layer, rows []Depth) {
	head := pad("without", depthWidth) + "-"
	for i := range layers {
		head += " " + column(i)
	}
	fmt.Fprintln(w, paint(style, bold, head+"  all  each of these alone stops it"))
	for _, d := range rows {
		text := pad(string(d.Attack)+" "+d.Probe, depthWidth) + mark(style, d.With)
		for _, l := range layers {
			text += " " + mark(style, d.Without[l.ID])
		}
		fmt.Fprintln(w, strings.TrimRight(text+"   "+mark(style, d.None)+"   "+alone(layers, d), " "))
	}
	fmt.Fprintln(w, "\n. blocked   X exposed   ? could not be tried   / not applicable here\n\n"+
		"-    with every layer\nall  without any of them; what fails even then is stopped by how the engine is built")
	for i, l := range layers {
		fmt.Fprintf(w, "%s    %s %s\n", column(i), pad(l.ID, 15), l.What)
	}
}

// column is the letter of a layer.
func column(i int) string { return string(rune('a' + i)) }

const depthWidth = 25

func mark(style Style, verdict string) string {
	m := marks[verdict]
	if verdict == Exposed {
		return paint(style, red, m)
	}
	return m
}

// alone names the layers by their columns.
func alone(layers []Layer, d Depth) string {
	if d.None == Blocked {
		return "(structure)"
	}
	if d.None != Exposed {
		return ""
	}
	var columns string
	for i, l := range layers {
		if slices.Contains(d.Alone, l.ID) {
			columns += " " + column(i)
		}
	}
	return fmt.Sprintf("%d:%s", len(d.Alone), columns)
}

// RenderDepthJSON is RenderDepth for programs.
func RenderDepthJSON(w io.Writer, layers []Layer, rows []Depth) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Layers []Layer `json:"layers"`
		Probes []Depth `json:"probes"`
	}{layers, rows})
}
