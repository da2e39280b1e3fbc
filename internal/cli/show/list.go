package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"
)

// Column is one column of a table: Field names the field of the row, Head is what stands above it.
type Column struct{ Head, Field string }

// Labelled is embedded in rows of objects that have labels, for {{.Label "name"}}.
type Labelled struct{ labels map[string]string }

// WithLabels returns the part of a row that answers {{.Label "name"}}.
func WithLabels(labels map[string]string) Labelled { return Labelled{labels} }

// Label returns the value of one label.
func (l Labelled) Label(name string) string { return Clean(l.labels[name], false) }

// heads are the heads of a table whose columns the person chose.
type heads map[string]string

// Label is the head of a column that shows one label.
func (heads) Label(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// List prints rows, which are structs of strings. format is "" (a table of columns), "json" (one object per line),
// "table TEMPLATE" or TEMPLATE. known are the fields that a "table" template can name, with their heads.
func List[Row any](w io.Writer, format string, columns, known []Column, rows []Row) error {
	CleanRows(rows)
	body, isTable := strings.CutPrefix(format, "table")
	switch {
	case format == "" || isTable && strings.TrimSpace(body) == "":
		return table(w, columns, rows)
	case format == "json":
		return lines(w, rows)
	case isTable:
		return templateTable(w, strings.TrimSpace(body), known, rows)
	}
	t, err := parseFormat(format)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := execute(w, t, row); err != nil {
			return err
		}
	}
	return nil
}

// CleanRows takes control characters out of rows that do not go through List.
func CleanRows[Row any](rows []Row) {
	for i := range rows {
		cleanFields(reflect.ValueOf(&rows[i]).Elem())
	}
}

func cleanFields(v reflect.Value) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String && f.CanSet() {
			f.SetString(Clean(f.String(), false))
		}
	}
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 10, 1, 3, ' ', 0) }

func table[Row any](w io.Writer, columns []Column, rows []Row) error {
	t := newTable(w)
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.Head
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
	for _, row := range rows {
		v := reflect.ValueOf(row)
		for i, c := range columns {
			cells[i] = v.FieldByName(c.Field).String()
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

func lines[Row any](w io.Writer, rows []Row) error {
	for _, row := range rows {
		text, err := toJSON(row)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, text); err != nil {
			return err
		}
	}
	return nil
}

func templateTable[Row any](w io.Writer, text string, known []Column, rows []Row) error {
	t, err := parseFormat(text)
	if err != nil {
		return err
	}
	h := make(heads, len(known))
	for _, c := range known {
		h[c.Field] = c.Head
	}
	out := newTable(w)
	if err := execute(out, t, h); err != nil {
		return err
	}
	for _, row := range rows {
		if err := execute(out, t, row); err != nil {
			return err
		}
	}
	return out.Flush()
}

// One prints a single value: as indented JSON ("" or "json" at most one line), or through a template.
func One(w io.Writer, format string, v any) error {
	if format == "json" {
		return lines(w, []any{v})
	}
	t, err := parseFormat(format)
	if err != nil {
		return err
	}
	return execute(w, t, v)
}

func parseFormat(text string) (*template.Template, error) {
	// \t and \n are written as two characters on a command line.
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("format").Funcs(template.FuncMap{
		"json": toJSON, "join": strings.Join, "split": strings.Split, "lower": strings.ToLower, "upper": strings.ToUpper,
		"truncate": func(s string, n int) string { return Truncate(s, n) },
	}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--format: %w", err)
	}
	return t, nil
}

func toJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(string(EscapeJSON(b.Bytes())), "\n"), err
}

func execute(w io.Writer, t *template.Template, v any) error {
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}
