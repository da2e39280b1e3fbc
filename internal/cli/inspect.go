package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/moby/moby/api/types/network"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/engineapi"
	"github.com/brig-engine/brig/internal/cli/show"
)

// kind is a sort of object that can be inspected.
type kind struct{ name, path, suffix string }

func kinds() []kind {
	return []kind{
		{"container", "/containers/", "/json"}, {"image", "/images/", "/json"},
		{"network", "/networks/", ""}, {"volume", "/volumes/", ""},
	}
}

// newInspect is `brig inspect`, which looks for an object of any kind.
func newInspect(a *App) *cobra.Command {
	var only string
	const use = "inspect [OPTIONS] NAME|ID [NAME|ID...]"
	cmd := inspector(a, use, "Print all that is known about an object", func() ([]kind, error) {
		all := kinds()
		if only == "" {
			return all, nil
		}
		for _, k := range all {
			if k.name == only {
				return []kind{k}, nil
			}
		}
		return nil, fmt.Errorf("--type %q: container, image, network or volume", only)
	})
	cmd.Flags().StringVar(&only, "type", "", "Look for one kind of object only")
	return cmd
}

// inspectOne is `brig NOUN inspect`.
func inspectOne(a *App, name string) *cobra.Command {
	return inspector(a, "inspect [OPTIONS] "+strings.ToUpper(name)+" ["+strings.ToUpper(name)+"...]",
		"Print all that is known about "+name+"s", func() ([]kind, error) {
			for _, k := range kinds() {
				if k.name == name {
					return []kind{k}, nil
				}
			}
			return nil, fmt.Errorf("%s cannot be inspected", name)
		})
}

func inspector(a *App, use, short string, which func() ([]kind, error)) *cobra.Command {
	var format string
	var size bool
	cmd := &cobra.Command{
		Use: use, Short: short, Args: words(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			among, err := which()
			if err != nil {
				return err
			}
			return a.inspect(cmd.Context(), args, among, format, size)
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "Format: json, or a template")
	cmd.Flags().BoolVarP(&size, "size", "s", false, "Include how much disk space a container uses")
	return cmd
}

func (a *App) inspect(ctx context.Context, names []string, among []kind, format string, size bool) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	found := []json.RawMessage{}
	var failed error
	for _, name := range names {
		doc, err := lookUp(ctx, engine, name, among, size)
		if err != nil {
			a.complain(err)
			failed = &exitError{code: 1}
			continue
		}
		found = append(found, doc)
	}
	if err := printDocuments(a.Out, format, found); err != nil {
		return err
	}
	return failed
}

// lookUp asks for one kind after the other until one knows the name.
func lookUp(ctx context.Context, engine *api.Client, name string, among []kind, size bool) (json.RawMessage, error) {
	for _, k := range among {
		q := url.Values{}
		setFlag(q, "size", size && k.name == "container")
		var doc json.RawMessage
		err := engine.Call(ctx, "GET", k.path+escape(name)+k.suffix, q, &doc)
		if err == nil {
			return doc, nil
		}
		// One name cannot be both: a name that is malformed for one kind may be good for another.
		if !api.IsStatus(err, 404) && !api.IsStatus(err, 400) || len(among) == 1 {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no container, image, network or volume is called %s", name)
}

// escape makes a name part of a path; the slashes of an image's name stay.
func escape(name string) string { return (&url.URL{Path: name}).EscapedPath() }

func printDocuments(w io.Writer, format string, docs []json.RawMessage) error {
	if format == "" {
		return indented(w, docs)
	}
	if format == "json" {
		return show.One(w, format, docs)
	}
	for _, doc := range docs {
		v, err := generic(doc)
		if err != nil {
			return err
		}
		if err := show.One(w, format, v); err != nil {
			return err
		}
	}
	return nil
}

func indented(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// generic decodes a document for a template: whole numbers stay whole, and .ID is another spelling of .Id.
func generic(doc []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	v = numbers(v)
	if m, ok := v.(map[string]any); ok && m["ID"] == nil && m["Id"] != nil {
		m["ID"] = m["Id"]
	}
	return v, nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
	}
	return v
}

func newTop(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "top CONTAINER [PS OPTIONS]", Short: "List the processes of a container",
		Long: "List the processes of a container, as ps -ef would. PS OPTIONS: -e, -f, aux, -o LIST of columns\n" +
			"(pid,user,%cpu,rss,etime,args,…). Users are those inside the container, process ids those of the engine.",
		Args: words(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			q := url.Values{}
			setQuery(q, "ps_args", strings.Join(args[1:], " "))
			var top engineapi.TopResponse
			if err := engine.Call(cmd.Context(), "GET", "/containers/"+url.PathEscape(args[0])+"/top", q, &top); err != nil {
				return err
			}
			w := tabwriter.NewWriter(a.Out, 20, 1, 3, ' ', 0)
			for _, row := range append([][]string{top.Titles}, top.Processes...) {
				cells := make([]string, len(row))
				for i, cell := range row {
					cells[i] = show.Clean(cell, false)
				}
				fmt.Fprintln(w, strings.Join(cells, "\t"))
			}
			return w.Flush()
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func newPort(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "port CONTAINER [PORT[/PROTOCOL]]", Short: "Print where the ports of a container are published",
		Args: words(1, 2), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			var c engineapi.InspectResponse
			if err := engine.Call(cmd.Context(), "GET", "/containers/"+url.PathEscape(args[0])+"/json", nil, &c); err != nil {
				return err
			}
			var ports network.PortMap
			if c.NetworkSettings != nil {
				ports = c.NetworkSettings.Ports
			}
			return printPorts(a.Out, args, ports)
		},
	}
}

func printPorts(w io.Writer, args []string, ports network.PortMap) error {
	if len(args) == 2 {
		port, err := network.ParsePort(args[1])
		if err != nil {
			return err
		}
		if len(ports[port]) == 0 {
			return fmt.Errorf("port %s of container %s is not published", port, args[0])
		}
		for _, b := range ports[port] {
			fmt.Fprintln(w, hostPort(b.HostIP, b.HostPort))
		}
		return nil
	}
	var out []string
	for port, bindings := range ports {
		for _, b := range bindings {
			out = append(out, fmt.Sprintf("%s -> %s", port, hostPort(b.HostIP, b.HostPort)))
		}
	}
	sort.Strings(out)
	for _, line := range out {
		fmt.Fprintln(w, line)
	}
	return nil
}
