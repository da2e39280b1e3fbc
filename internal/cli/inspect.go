package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

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

// inspection holds the options of the commands that inspect.
type inspection struct {
	format, platform string
	size, verbose    bool
}

// newInspect is `brig inspect`, which looks for an object of any kind.
func newInspect(a *App) *cobra.Command {
	var only string
	var o inspection
	cmd := inspector(a, &o, "inspect [OPTIONS] NAME|ID [NAME|ID...]", "Print all that is known about an object",
		func() ([]kind, error) { return kindsOf(only) })
	cmd.Flags().StringVar(&only, "type", "", "Look for one kind of object only")
	bindSize(cmd, &o)
	return cmd
}

// kindsOf gives the kinds that a value of --type stands for.
func kindsOf(only string) ([]kind, error) {
	all := kinds()
	if only == "" {
		return all, nil
	}
	for _, k := range all {
		if k.name == only {
			return []kind{k}, nil
		}
	}
	if strings.Contains(" config node plugin secret service task ", " "+only+" ") {
		return nil, fmt.Errorf("--type %q: this engine has no such objects yet. Next: container, image, network or volume", only)
	}
	return nil, fmt.Errorf("--type %q: container, image, network or volume", only)
}

func bindSize(cmd *cobra.Command, o *inspection) {
	cmd.Flags().BoolVarP(&o.size, "size", "s", false, "Include how much disk space a container uses")
}

// inspectOne is `brig NOUN inspect`.
func inspectOne(a *App, name string) *cobra.Command {
	var o inspection
	cmd := inspector(a, &o, "inspect [OPTIONS] "+strings.ToUpper(name)+" ["+strings.ToUpper(name)+"...]",
		"Print all that is known about "+name+"s", func() ([]kind, error) { return kindsOf(name) })
	switch name {
	case "container":
		bindSize(cmd, &o)
	case "image":
		cmd.Flags().StringVar(&o.platform, "platform", "", "Platform that the image must have (os/arch[/variant])")
	case "network":
		cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "Include what helps to find faults")
	}
	return cmd
}

func inspector(a *App, o *inspection, use, short string, which func() ([]kind, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: words(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			among, err := which()
			if err != nil {
				return err
			}
			return a.inspect(cmd.Context(), args, among, o)
		},
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", "", "Format: json, or a template")
	return cmd
}

func (a *App) inspect(ctx context.Context, names []string, among []kind, o *inspection) error {
	engine, err := a.engine()
	if err != nil {
		return err
	}
	found := []json.RawMessage{}
	var failed error
	for _, name := range names {
		doc, k, err := lookUp(ctx, engine, name, among, o)
		if err != nil {
			a.complain(err)
			failed = &exitError{code: 1}
			continue
		}
		if o.size && k.name != "container" {
			a.say("warning: --size means nothing for the %s %s", k.name, name)
		}
		found = append(found, doc)
	}
	if err := printDocuments(a.document(), o.format, found); err != nil {
		return err
	}
	return failed
}

// lookUp asks for one kind after the other until one knows the name.
func lookUp(ctx context.Context, engine *api.Client, name string, among []kind, o *inspection) (json.RawMessage, kind, error) {
	for _, k := range among {
		q, err := o.query(k)
		if err != nil {
			return nil, k, err
		}
		var doc json.RawMessage
		err = engine.Call(ctx, "GET", k.path+escape(name)+k.suffix, q, &doc)
		if err == nil {
			return doc, k, nil
		}
		// One name cannot be both: a name that is malformed for one kind may be good for another.
		if !api.IsStatus(err, 404) && !api.IsStatus(err, 400) || len(among) == 1 {
			return nil, k, err
		}
	}
	return nil, kind{}, fmt.Errorf("no container, image, network or volume is called %s", name)
}

func (o *inspection) query(k kind) (url.Values, error) {
	q := url.Values{}
	setFlag(q, "size", o.size && k.name == "container")
	if o.verbose {
		q.Set("verbose", "true")
	}
	if o.platform == "" {
		return q, nil
	}
	parts := strings.SplitN(o.platform, "/", 3)
	p := map[string]string{"os": parts[0]}
	for i, key := range []string{"architecture", "variant"} {
		if i+1 < len(parts) {
			p[key] = parts[i+1]
		}
	}
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return nil, fmt.Errorf("--platform %q: an operating system and an architecture are needed, like linux/amd64", o.platform)
	}
	data, err := json.Marshal(p)
	q.Set("platform", string(data))
	return q, err
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
		if err := show.Object(w, format, v, optionalFields()); err != nil {
			return err
		}
	}
	return nil
}

// optionalFields are what objects have sometimes.
func optionalFields() []string {
	return strings.Fields("SizeRw SizeRootFs ImageManifestDescriptor GraphDriver Storage AppArmorProfile HostnamePath HostsPath " +
		"LogPath MountLabel ProcessLabel ResolvConfPath RestartCount Comment Author Variant OsVersion Descriptor Manifests Metadata " +
		"VirtualSize Container ContainerConfig DockerVersion Parent Identity RepoTags RepoDigests Config Peers Services ConfigFrom " +
		"ConfigOnly Status UsageData ClusterVolume CreatedAt Labels Options")
}

func indented(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(show.EscapeJSON(b.Bytes()))
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
