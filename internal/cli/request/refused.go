package request

import (
	"fmt"

	"github.com/spf13/pflag"
)

// refusedHere are options of docker run for which a create request has no field, or no field yet. What they ask for is
// refused in the words of docs/docker-compatibility.md, which a test compares. An option that is built is declared by
// its own function; its line here then counts for nothing, and can go.
var refusedHere = []struct{ name, kind, why string }{
	{"kernel-memory", "bytes", "not supported: control groups of version 2 count it as memory; use --memory"},
	{"use-api-socket", "", "not supported: who has the engine's socket owns the engine; bind the socket with -v, where the " +
		"container may"},
	{"disable-content-trust", "", "not supported: Brig checks digests, and no signatures of images; name the image by " +
		"its digest"},
}

// refusable is the value of such an option.
type refusable struct{ kind, text string }

func (r *refusable) Set(s string) error { r.text = s; return nil }
func (r *refusable) String() string     { return r.text }
func (r *refusable) Type() string {
	if r.kind == "" {
		return "bool"
	}
	return r.kind
}

// bindRefused declares the options of refusedHere that nobody has declared. The help is about what can be had, and does
// not list them.
func bindRefused(fs *pflag.FlagSet) {
	for _, o := range refusedHere {
		if fs.Lookup(o.name) != nil {
			continue
		}
		f := fs.VarPF(&refusable{kind: o.kind}, o.name, "", "See docs/docker-compatibility.md")
		if o.kind == "" {
			f.NoOptDefVal = "true"
		}
		f.Hidden = true
	}
}

// refused gives the refusal of the first such option that asks for something.
func (o *Options) refused() error {
	for _, r := range refusedHere {
		f := o.flags.Lookup(r.name)
		v, ours := f.Value.(*refusable)
		if !ours || !f.Changed || r.why == "" {
			continue
		}
		trust := r.name == "disable-content-trust" // is off by default, and saying so asks for nothing
		switch {
		case trust && v.text == "true", !trust && r.kind == "" && v.text == "false":
		case trust:
			return fmt.Errorf("--%s=%s: %s", r.name, v.text, r.why)
		case r.kind == "":
			return fmt.Errorf("--%s: %s", r.name, r.why)
		default:
			return fmt.Errorf("--%s %s: %s", r.name, v.text, r.why)
		}
	}
	return nil
}
