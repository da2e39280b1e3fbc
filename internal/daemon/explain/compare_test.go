package explain

import (
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire"
)

// A namespace is the host's if it has the same number, and if its number is not known.
func TestSharedNamespacesAreFound(t *testing.T) {
	for want, change := range map[string]func(view wire.ContainerView){
		"none of the host's": func(wire.ContainerView) {},
		"the host's net":     func(v wire.ContainerView) { v["ns/net"] = "ours" },
		"the host's user, pid": func(v wire.ContainerView) {
			v["ns/user"] = "ours"
			delete(v, "ns/pid")
		},
	} {
		view := wire.ContainerView{}
		for _, name := range spaces {
			view[name] = "theirs"
		}
		change(view)
		c := &comparison{Running: Running{Spec: &wire.Spec{}, Ours: func(string) string { return "ours" }}, view: view}
		c.namespaces()
		if f := c.found[0]; f.Found != want || f.Differs != strings.HasPrefix(want, "the host's") {
			t.Errorf("%+v, want %s", f, want)
		}
	}
}
