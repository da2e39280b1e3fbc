package log

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/log/syslog"
)

func config(driver string, pairs ...string) container.LogConfig {
	c := container.LogConfig{Type: driver, Config: map[string]string{}}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		c.Config[k] = v
	}
	return c
}

func TestOptions(t *testing.T) {
	plain := func(driver string, change func(*Options)) Options {
		o := Options{Driver: driver, MaxSize: 10_000_000, MaxFiles: 5}
		if driver == DriverSyslog {
			o.Syslog = syslog.Default()
		}
		if change != nil {
			change(&o)
		}
		return o
	}
	for _, c := range []struct {
		in   container.LogConfig
		want Options
	}{
		{container.LogConfig{}, plain(DriverJSON, nil)},
		{config("default"), plain(DriverJSON, nil)},
		{config("local"), plain(DriverLocal, nil)},
		{config("journald"), plain(DriverJournald, nil)},
		{config("syslog"), plain(DriverSyslog, nil)},
		{config("none"), Options{Driver: DriverNone}},
		{config("json-file", "max-size=1m", "max-file=9", "compress=true"), plain(DriverJSON, func(o *Options) {
			o.MaxSize, o.MaxFiles, o.Compress = 1_000_000, 9, true
		})},
		{config("local", "mode=non-blocking", "max-buffer-size=4m", "max-file=1", "compress=false"), plain(DriverLocal,
			func(o *Options) { o.Mode, o.Buffer, o.MaxFiles = ModeNonBlocking, 4<<20, 1 })},
		{config("", "labels=a,b", "labels-regex=^x", "env=E", "env-regex=^F", "tag={{.Name}}", "mode=blocking"),
			plain(DriverJSON, func(o *Options) {
				o.Choice, o.Mode = Choice{"a,b", "^x", "E", "^F", "{{.Name}}"}, ModeBlocking
			})},
		{config("journald", "cache-max-size=1m", "cache-max-file=2", "cache-compress=true", "tag=x"), plain(DriverJournald,
			func(o *Options) { o.MaxSize, o.MaxFiles, o.Compress, o.Tag = 1_000_000, 2, true, "x" })},
		{config("syslog", "cache-disabled=true", "syslog-address=tcp+tls://[::1]:6514", "syslog-facility=local7",
			"syslog-format=rfc5424micro", "syslog-tls-ca-cert=/ca", "syslog-tls-cert=/c", "syslog-tls-key=/k",
			"syslog-tls-skip-verify=false"), plain(DriverSyslog, func(o *Options) {
			o.NoCache = true
			o.Syslog = &syslog.Options{Network: "tcp+tls", Address: "[::1]:6514", Facility: 23, Format: "rfc5424micro",
				CA: "/ca", Cert: "/c", Key: "/k"}
		})},
	} {
		o, errs := Parse(c.in)
		if len(errs) > 0 || !reflect.DeepEqual(o, c.want) {
			t.Errorf("%+v: %v, %s", c.in, errs, cmp.Diff(o, c.want))
		}
		b, err := json.Marshal(o)
		var back Options
		if err != nil || json.Unmarshal(b, &back) != nil || !reflect.DeepEqual(back, o) {
			t.Errorf("a record does not keep %s: %v", b, err)
		}
	}
}

// Docker's drivers that Brig lacks, and its options where they make no sense, are named. What else is refused stands in
// internal/daemon/policy/testdata.
func TestRefusedOptions(t *testing.T) {
	for _, driver := range strings.Fields("fluentd gelf awslogs gcplogs splunk etwlogs x") {
		if _, errs := Parse(config(driver)); len(errs) != 1 || !strings.Contains(errs[0].Error(), "'"+driver+"' is registered") {
			t.Errorf("%s: %v", driver, errs)
		}
	}
	for _, pair := range []string{"max-size=1m", "compress=true", "cache-disabled=x", "cache-shiny=1", "syslog-address=x"} {
		if _, errs := Parse(config("journald", pair)); len(errs) != 1 {
			t.Errorf("journald %s: %v", pair, errs)
		}
	}
	if _, errs := Parse(config("", "tag="+strings.Repeat("x", maxChoice+1))); len(errs) != 1 {
		t.Errorf("a long template: %v", errs)
	}
}

var testInfo = Info{ID: strings.Repeat("0123456789abcdef", 4), Name: "web", Entrypoint: "/bin/sh", Args: []string{"-c", "true"},
	ImageID: "sha256:" + strings.Repeat("fedcba98", 8), Image: "img:latest", Created: time.Unix(1, 0).UTC(),
	Env: []string{"A=1", "B=x=y", "EMPTY=", "ODD"}, Labels: map[string]string{"com.a": "1", "com.b": "two", "org": "o"},
	Config: map[string]string{"tag": "t"}}

func TestWhatIsNoted(t *testing.T) {
	for _, c := range []struct {
		pairs []string
		want  []Attr
	}{
		{nil, nil},
		{[]string{"labels=com.a,none,org"}, []Attr{{"com.a", "1"}, {"org", "o"}}},
		{[]string{"labels-regex=^com"}, []Attr{{"com.a", "1"}, {"com.b", "two"}}},
		{[]string{"env=B,ODD,EMPTY"}, []Attr{{"B", "x=y"}, {"EMPTY", ""}}},
		{[]string{"env-regex=^[AB]$", "labels=org", "tag={{.Name}}/{{.ID}}"},
			[]Attr{{"A", "1"}, {"B", "x=y"}, {"org", "o"}, {"tag", "web/0123456789ab"}}},
	} {
		o, errs := Parse(config("", c.pairs...))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		m, err := o.Meta(testInfo)
		if err != nil || !reflect.DeepEqual(m.Attrs, c.want) {
			t.Errorf("%v: %v, %v", c.pairs, m.Attrs, err)
		}
	}
	o, _ := Parse(config("syslog"))
	if m, err := o.Meta(testInfo); err != nil || m.Tag != "0123456789ab" || m.Attrs != nil {
		t.Errorf("a receiver's default: %+v, %v", m, err)
	}
}

// method is Info as text/template sees Docker's.
type method struct{ Info }

func (m method) get(name string) string     { v, _ := m.field(name); return v.(string) }
func (m method) ID() string                 { return m.get("ID") }
func (m method) FullID() string             { return m.get("FullID") }
func (m method) Name() string               { return m.get("Name") }
func (m method) Command() string            { return m.get("Command") }
func (m method) ImageID() string            { return m.get("ImageID") }
func (m method) ImageFullID() string        { return m.get("ImageFullID") }
func (m method) ImageName() string          { return m.get("ImageName") }
func (m method) DaemonName() string         { return m.get("DaemonName") }
func (m method) ContainerEnv() []string     { return m.Info.Env }
func (m method) ContainerLabels() any       { return m.Info.Labels }
func (m method) ContainerArgs() []string    { return m.Info.Args }
func (m method) ContainerCreated() string   { return m.get("ContainerCreated") }
func (m method) ContainerImageName() string { return m.get("ContainerImageName") }

// TestTagsAreWhatTemplatesSay holds the tags against text/template with Docker's functions.
func TestTagsAreWhatTemplatesSay(t *testing.T) {
	oracle := template.FuncMap{
		"json":  func(v any) string { b, _ := json.Marshal(v); return string(b) },
		"split": strings.Split, "join": strings.Join, "lower": strings.ToLower, "upper": strings.ToUpper,
		"title": strings.Title, //nolint:staticcheck // what Docker calls
		"pad":   func(s string, l, r int) string { return strings.Repeat(" ", l) + s + strings.Repeat(" ", r) },
		"truncate": func(s string, n int) string {
			return s[:min(n, len(s))]
		},
	}
	for _, text := range []string{"", "plain", "{{.ID}}", "{{.FullID}}", "a{{.Name}}b{{ .ImageName }}c", "{{.ImageID}}{{.ImageFullID}}",
		"{{.Command}}", "{{.Name | upper}}", "{{upper .Name}}", "{{title .Command}}", "{{truncate .FullID 3}}",
		`{{index .ContainerLabels "com.b"}}`, `{{index .ContainerEnv 0 | lower}}`, `{{json .ContainerLabels}}`, `{{join .ContainerArgs ","}}`,
		`{{join (split .Command " ") "-"}}`, `{{split .Name "e"}}`, `{{pad .Name 2 3}}`, "x {{- .Name -}} \t y", `{{"}}"}}`, "{{`raw`}}",
		`{{pad (pad .Name 1 0) 0 1 | upper}}`, "{{.ContainerCreated}}", "{{.DaemonName}}", "{{ .ContainerImageName }}",
		`{{json .ContainerArgs}}`, "{{3}}"} {
		var want strings.Builder
		if err := template.Must(template.New("").Funcs(oracle).Parse(text)).Execute(&want, method{testInfo}); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := expand(text, testInfo); err != nil || got != want.String() {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want.String())
		}
	}
}

func TestTagsHaveAnEnd(t *testing.T) {
	long := `{{"` + strings.Repeat("x", 200) + `"`
	for _, text := range []string{"{{", "{{.Name", "{{.Nope}}", "{{range .ContainerEnv}}x{{end}}", "{{$x := 1}}", `{{printf "%9999999d" 1}}`,
		`{{define "a"}}{{end}}`, "{{.Name.Name}}", `{{pad .Name 99999999 0}}`, `{{upper 1}}`, `{{index .ContainerEnv 9}}`, "{{}}", "{{upper}}",
		`{{.Name | .ID}}`, strings.Repeat("x", maxTag+1), "{{" + strings.Repeat("(", 40) + ".ID", `{{truncate .Name "x"}}`, `{{"x}}`,
		long + strings.Repeat(` | split "" | join "xxxxxxxx"`, 9) + "}}",
		`{{join (split (join (split (join (split "` + strings.Repeat("a", 100) + `" "") "bbbbbbbbbb") "") "cccccccccc") "") "dddddddddd"}}`} {
		if got, err := expand(text, testInfo); err == nil {
			t.Errorf("%.60s is %d bytes: %.60q", text, len(got), got)
		}
	}
	if got, err := expand("a\nb\x00{{.Name}}", testInfo); err != nil || got != "a_b_web" {
		t.Errorf("control characters: %q, %v", got, err)
	}
}

func FuzzTag(f *testing.F) {
	for _, s := range []string{"{{.Name}}", `{{index .ContainerLabels "x" | upper}}`, "{{pad (json .Config) 1 2}}", "{{-  -}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := expand(s, testInfo); err == nil && (len(got) > maxTag*3 || strings.ContainsAny(got, "\n\r\x00")) {
			t.Fatalf("%q became %d bytes", s, len(got))
		}
	})
}
