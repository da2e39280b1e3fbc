package warden

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// policyHolds plays a conquered brigd: it asks for everything in everybody's name, with the connections that it has.
func (r *rig) policyHolds(image string) {
	r.t.Helper()
	file := filepath.Join(r.dir, "root", rules.Dir, rules.File)
	defer os.Remove(file)
	root, user := r.caller(), r.callerAs(1000)
	defer unix.Close(root)
	defer unix.Close(user)
	start := func(change func(*wire.Spec), fds ...int) error {
		s := spec(image, "true")
		change(&s)
		id := newID()
		fds, err := r.try(wire.OpContainerStart, wire.ContainerStart{ID: id, Spec: s}, &wire.Started{}, fds...)
		if err == nil {
			p := &running{r: r, id: id, fds: fds}
			p.wait()
			r.call(wire.OpContainerRemove, wire.ContainerRef{ID: id}, nil)
		}
		return err
	}
	admin := func(s *wire.Spec) { s.Process.Capabilities.Bounding = 1 << unix.CAP_NET_ADMIN }
	strictly := func(s *wire.Spec) { s.WritableRoot, s.Process.User.UID = false, 1000 }
	both := func(s *wire.Spec) { strictly(s); s.Process.AllowNewPrivileges = true }
	for _, c := range []struct {
		policy string
		spec   func(*wire.Spec)
		fds    []int
		says   string // "": it starts
	}{
		{"", admin, []int{root}, ""},
		{"", admin, []int{user}, "capabilities=12"},
		{"", admin, nil, "capabilities=12"},
		{`{"grants":[{"users":[1000],"allow":["capabilities=12"]}]}`, admin, []int{user}, ""},
		{`{"grants":[{"users":[1000],"allow":["capabilities=12"]}]}`, admin, []int{root}, "capabilities=12"},
		{`{"grants":[{"users":[1000],"allow":["capabilities=12"]}]}`, admin, nil, "capabilities=12"},
		{`{"strict":true,"grants":[]}`, func(*wire.Spec) {}, []int{root}, "levels=standard"},
		{`{"strict":true,"grants":[]}`, strictly, nil, ""},
		{`{"strict":true,"grants":[]}`, both, []int{root}, "no-new-privileges=false is given to this caller by no line"},
		{`{"strict":true,"grants":[{"users":[0],"allow":["levels=standard"]}]}`, func(*wire.Spec) {}, []int{root}, ""},
		{`{"strict":tru`, strictly, []int{root}, "the administrator's policy"},
	} {
		if err := os.WriteFile(file, []byte(c.policy), 0o644); c.policy == "" {
			os.Remove(file)
		} else if err != nil {
			r.t.Fatal(err)
		}
		switch err := start(c.spec, c.fds...); {
		case c.says == "" && err != nil:
			r.t.Errorf("%s: %v", c.policy, err)
		case c.says != "" && (!errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), c.says)):
			r.t.Errorf("%s: %v, want %q", c.policy, err, c.says)
		}
	}
}
